#include <catch2/catch.hpp>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iterator>

#include "error.hpp"
#include "files.hpp"

using namespace poster;

namespace {

class Directory {
public:
    Directory() { REQUIRE(::mkdtemp(name_)); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { fs::remove_all(name_); }
    fs::path operator/(const std::string& name) const { return fs::path{name_} / name; }
    std::size_t entries() const {
        return std::size_t(std::distance(fs::directory_iterator{name_}, fs::directory_iterator{}));
    }

private:
    char name_[32] = "/tmp/poster-test-XXXXXX";
};

mode_t mode_of(const fs::path& path) {
    struct stat facts{};
    REQUIRE(::stat(path.c_str(), &facts) == 0);
    return facts.st_mode & 07777;
}

} // namespace

TEST_CASE("a replaced file holds the new content, is private, and leaves nothing beside it") {
    const Directory directory;
    const auto durability = GENERATE(Durability::page_cache, Durability::disk);
    replace_file(directory / "a", "one", durability);
    replace_file(directory / "a", "two", durability);
    CHECK(read_file(directory / "a") == "two");
    CHECK(mode_of(directory / "a") == 0600);
    CHECK(directory.entries() == 1);
}

TEST_CASE("a failed replacement leaves nothing behind and says what failed") {
    const Directory directory;
    make_directories(directory / "a");
    CHECK_THROWS_AS(replace_file(directory / "a", "x"), Error);
    CHECK(directory.entries() == 1);
    CHECK_THROWS_WITH(replace_file(directory / "none/a", "x"), Catch::Contains("No such file or directory"));
}

TEST_CASE("a line is appended whole, also after one that a crash cut short") {
    const Directory directory;
    append_line(directory / "log", "one");
    CHECK(::write(open_append(directory / "log").get(), "ha", 2) == 2);
    append_line(directory / "log", "two");
    append_line(directory / "log", "");
    CHECK(read_file(directory / "log") == "one\nha\ntwo\n\n");
    CHECK(mode_of(directory / "log") == 0600);
}

TEST_CASE("the tail of a file is read") {
    const Directory directory;
    replace_file(directory / "a", "0123456789");
    CHECK(read_tail(directory / "a", 3) == "789");
    CHECK(read_tail(directory / "a", 100) == "0123456789");
    CHECK_FALSE(read_tail(directory / "none", 3));
    CHECK_FALSE(read_file(directory / ""));
    CHECK(read_file("/proc/self/stat"));
}

TEST_CASE("directories are made private, and made again without complaint") {
    const Directory directory;
    make_directories(directory / "a/b/c");
    make_directories(directory / "a/b/c/");
    CHECK(mode_of(directory / "a/b") == 0700);
    replace_file(directory / "file", "");
    CHECK_THROWS_WITH(make_directories(directory / "file"), Catch::Contains("Not a directory"));
    CHECK_THROWS_AS(make_directories(directory / "file/x"), Error);
}

TEST_CASE("a file system has a name and room, also below a path that does not exist yet") {
    CHECK(file_system_name("/proc") == "proc");
    CHECK(file_system_name("/none/of/these") == file_system_name("/"));
    CHECK(free_bytes("/tmp/none/of/these"));
    ::setenv("POSTER_ASSUME_SHARED", "1", 1);
    CHECK(on_shared_file_system("/proc"));
    ::unsetenv("POSTER_ASSUME_SHARED");
    CHECK_FALSE(on_shared_file_system("/proc"));
}

TEST_CASE("a descriptor is closed on exec and given back") {
    const Directory directory;
    Fd fd = open_append(directory / "a");
    const int number = fd.get();
    CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
    Fd other = std::move(fd);
    CHECK_FALSE(fd);
    other.close();
    CHECK(::fcntl(number, F_GETFD) == -1);
}

TEST_CASE("a system call that failed says the attempt and the reason") {
    CHECK(check_syscall("try", 3) == 3);
    CHECK_THROWS_WITH(check_syscall("open it", ::open("/none/of/these", O_RDONLY)),
                      "open it: No such file or directory");
}

TEST_CASE("descriptors are set to /dev/null, also those that were closed") {
    const pid_t child = ::fork();
    if (child == 0) {
        for (int fd : {0, 1, 2}) ::close(fd);
        set_to_null({0, 1, 2});
        bool all = true;
        for (int fd : {0, 1, 2}) all = all && ::fcntl(fd, F_GETFD) == 0; // open, and kept across exec
        ::_exit(all ? 7 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}
