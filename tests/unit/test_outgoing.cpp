// Bytes and pieces of files on their way into a pipe.

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <thread>

#include <fd.hpp>
#include <files.hpp>
#include <outgoing.hpp>
#include <sigpipe.hpp>

#include "store_fixture.hpp"

using namespace poster;

namespace {

struct Pipe {
    Pipe() {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        reading = Fd{ends[0]};
        writing = Fd{ends[1]};
        ::fcntl(writing.get(), F_SETFL, O_NONBLOCK);
    }
    Fd reading, writing;
};

// What comes out at the other end, which reads little at a time.
std::string all_of(Outgoing& outgoing) {
    Pipe pipe;
    std::string read;
    std::jthread reader([&] {
        char block[1000];
        for (ssize_t got = 0; (got = ::read(pipe.reading.get(), block, sizeof block)) > 0;) read.append(block, got);
    });
    while (!outgoing.empty()) outgoing.write_to(pipe.writing.get());
    pipe.writing.close();
    reader.join();
    return read;
}

Fd opened(const std::filesystem::path& path) {
    Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    REQUIRE(file);
    return file;
}

void must_not_fail(int) {
    FAIL("it can be read");
}

// For this thread, as containers do it. False: the kernel has no such filters.
bool forbid_splice(int error) {
    std::array<sock_filter, 4> filter{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_splice, 0, 1),
                                       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | std::uint32_t(error)),
                                       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
    const sock_fprog program{filter.size(), filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

} // namespace

TEST_CASE("bytes and pieces of files leave in the order in which they were added") {
    const TemporaryDirectory folder;
    std::string content;
    for (int i = 0; i < 300'000; ++i) content += char('a' + i % 23);
    replace_file(folder.path() / "file", content);
    const Fd file = opened(folder.path() / "file");
    Outgoing outgoing;
    std::string expected;
    for (std::size_t i = 0; i < 40; ++i) {
        const std::string header = "<" + std::to_string(i) + ">";
        const std::size_t offset = i * 4099, bytes = i % 5 == 0 ? 0 : 100'000 + i;
        outgoing.add(header);
        outgoing.add_piece(file.get(), offset, bytes, must_not_fail);
        expected += header + content.substr(offset, bytes);
    }
    outgoing.add("end");
    CHECK(outgoing.size() == expected.size() + 3);
    CHECK(all_of(outgoing) == expected + "end");
}

TEST_CASE("a file that became shorter is filled up with zeros, and told of once") {
    const TemporaryDirectory folder;
    replace_file(folder.path() / "file", std::string(10'000, 'x'));
    const Fd file = opened(folder.path() / "file");
    Outgoing outgoing;
    std::vector<int> errors;
    outgoing.add_piece(file.get(), 4'000, 200'000, [&](int error) { errors.push_back(error); });
    outgoing.add("end");
    CHECK(all_of(outgoing) == std::string(6'000, 'x') + std::string(194'000, '\0') + "end");
    CHECK(errors == std::vector<int>{0});
}

TEST_CASE("a file that cannot be read is zeros, and told of by its error") {
    const Fd folder = opened("/");
    Outgoing outgoing;
    std::vector<int> errors;
    outgoing.add_piece(folder.get(), 0, 3, [&](int error) { errors.push_back(error); });
    CHECK(all_of(outgoing) == std::string(3, '\0'));
    CHECK(errors == std::vector<int>{EISDIR});
}

TEST_CASE("a file of a file system without splice is copied") {
    const std::string version = read_file("/proc/version").value();
    const Fd file = opened("/proc/version");
    Outgoing outgoing;
    outgoing.add_piece(file.get(), 0, version.size(), must_not_fail);
    CHECK(all_of(outgoing) == version);
}

TEST_CASE("where splice is forbidden files are copied") {
    const TemporaryDirectory folder;
    const std::string content(100'000, 'x');
    replace_file(folder.path() / "file", content);
    const Fd file = opened(folder.path() / "file");
    for (const int error : {EPERM, EOPNOTSUPP}) {
        std::string arrived;
        std::vector<int> errors;
        bool forbidden = false;
        std::jthread([&] { // the filter ends with it
            forbidden = forbid_splice(error);
            Outgoing outgoing;
            outgoing.add_piece(file.get(), 0, content.size(), [&](int failure) { errors.push_back(failure); });
            arrived = all_of(outgoing);
        })
            .join();
        if (!forbidden) WARN("nothing can be forbidden here");
        CHECK(errors.empty());
        CHECK((arrived == content));
    }
}

TEST_CASE("what nobody reads any more is dropped") {
    Pipe pipe;
    pipe.reading.close();
    Outgoing outgoing;
    outgoing.add("some");
    const WithoutSigpipe guarded;
    outgoing.write_to(pipe.writing.get());
    CHECK(outgoing.empty());
}
