// Copies in a folder of this machine.

#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <utime.h>

#include <directory_remote.hpp>
#include <error.hpp>
#include <remote_path.hpp>

#include "remote_fixture.hpp"

using namespace poster;

namespace {

struct Nas : RemoteFixture {
    fs::path root = place.path() / "nas";
    DirectoryRemote remote{root};

    Nas() { make_directories(root); }

    const NotedProgress& put() {
        last_put = std::make_unique<NotedProgress>();
        remote.put(files, *last_put);
        return *last_put;
    }

    std::unique_ptr<NotedProgress> last_put;
};

} // namespace

TEST_CASE("a path of a remote never leads out of its root") {
    auto path = GENERATE("", "/", "/etc/passwd", "a//b", "a/", "./a", "a/./b", "..", "../a", "a/..", "a/../../b");
    CHECK_THROWS_AS(remote_path_parts(path), Error);
    CHECK_THROWS_AS(remote_path_parts(std::string("a\0b", 3)), Error);
}

TEST_CASE("other names are names, however odd") {
    CHECK(remote_path_parts("runs/..a/b.. /[x] *\n/-rf") ==
          std::vector<std::string>{"runs", "..a", "b.. ", "[x] *\n", "-rf"});
}

TEST_CASE("names of parts are told from others") {
    CHECK(is_part_name(part_name("model.pt")));
    CHECK(part_name("a") == part_name("a"));
    CHECK(part_name("a") != part_name("b"));
    CHECK_FALSE(is_part_name(".poster-notes.part"));
    CHECK_FALSE(is_part_name("model.pt"));
}

TEST_CASE("files arrive whole at a folder, and come back") {
    Nas nas;
    nas.add("runs/a/run.json", "{}");
    nas.add("runs/a/files/empty", "");
    nas.add("runs/a/files/ö [x] * '\" \\.txt", std::string(3'000'000, 'x'));
    nas.add("runs/b/-rf", "minus");
    const auto& progress = nas.put();
    CHECK(progress.count(Delivery::State::delivered) == 4);
    CHECK(progress.moved_bytes == 3'000'007);
    for (const auto& file : nas.files) CHECK(sha256_of_file(nas.root / file.path) == file.sha256.get());
    CHECK(files_below(nas.root) == 4);
    CHECK(nas.remote.list("runs") == std::vector<std::string>{"a", "b"});
    CHECK(nas.remote.list("nothing").empty());

    NotedProgress fetched;
    const auto wanted = nas.to_fetch();
    nas.remote.get(wanted, fetched);
    CHECK(fetched.count(Delivery::State::delivered) == 4);
    for (const auto& file : wanted) CHECK(sha256_of_file(file.local) == file.sha256.get());

    NotedProgress verified;
    nas.remote.verify(nas.files, verified);
    CHECK(verified.count(Delivery::State::delivered) == 4);
}

TEST_CASE("a file is copied before its hash is known, and put in its place after") {
    Nas nas;
    HashedLast progress(nas.add("runs/a/files/large", std::string(3'000'000, 'x')));
    nas.remote.put(nas.files, progress);
    CHECK(progress.count(Delivery::State::delivered) == 1);
    CHECK(sha256_of_file(nas.root / nas.files[0].path) == sha256_of_file(nas.files[0].local));
}

TEST_CASE("of a copy that is cancelled before its hash is known nothing is told, and nothing is left") {
    Nas nas;
    HashedLast progress(nas.add("runs/a/files/large", std::string(3'000'000, 'x')), true);
    nas.remote.put(nas.files, progress);
    CHECK(progress.deliveries.empty());
    CHECK(files_below(nas.root) == 0);
}

TEST_CASE("only the bytes that were asked for are copied of a file that grows") {
    Nas nas;
    auto& file = nas.add("runs/a/output.log", "first line\n");
    append_line(file.local, "second line");
    CHECK(nas.put().count(Delivery::State::delivered) == 1);
    CHECK(read_file(nas.root / file.path) == "first line\n");
}

TEST_CASE("a file that changed, shrank or vanished while it was on its way is tried again later") {
    Nas nas;
    replace_file(nas.add("a", "content").local, "CONTENT");
    replace_file(nas.add("b", "content").local, "con");
    fs::remove(nas.add("c", "content").local);
    const auto& progress = nas.put();
    CHECK(progress.count(Delivery::State::retry) == 3);
    CHECK(files_below(nas.root) == 0);
}

TEST_CASE("a file too large for the place waits for the user") {
    Nas nas;
    nas.add("a", std::string(2 << 20, 'x'));
    rlimit former{};
    ::getrlimit(RLIMIT_FSIZE, &former);
    const rlimit low{1 << 20, former.rlim_max};
    const auto handler = ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &low);
    const auto& progress = nas.put();
    ::setrlimit(RLIMIT_FSIZE, &former);
    ::signal(SIGXFSZ, handler);
    CHECK(progress.count(Delivery::State::failed) == 1);
    CHECK(files_below(nas.root) == 0);
}

TEST_CASE("what stands there with the same bytes is left, what differs is replaced") {
    Nas nas;
    nas.add("same", "content");
    nas.add("other", "content");
    replace_file(nas.root / "same", "content");
    replace_file(nas.root / "other", "CONTENT");
    struct stat before{};
    struct stat after{};
    ::stat((nas.root / "same").c_str(), &before);
    CHECK(nas.put().count(Delivery::State::delivered) == 2);
    ::stat((nas.root / "same").c_str(), &after);
    CHECK(before.st_ino == after.st_ino);
    CHECK(read_file(nas.root / "other") == "content");
}

TEST_CASE("nothing is made where the folder is not mounted, and one file tells of it") {
    Nas nas;
    for (int i = 0; i < 20; ++i) nas.add(std::to_string(i), "content");
    fs::remove_all(nas.root);
    const auto& progress = nas.put();
    REQUIRE(progress.deliveries.size() == 1);
    const auto& delivery = progress.deliveries.begin()->second;
    CHECK(delivery.state == Delivery::State::retry);
    CHECK(delivery.help.find("mounted") != std::string::npos);
    CHECK_FALSE(fs::exists(nas.root));
    CHECK_THROWS_AS(nas.remote.list("runs"), Error);
}

TEST_CASE("a link in the copies is not followed") {
    Nas nas;
    const fs::path elsewhere = nas.place.path() / "elsewhere";
    make_directories(elsewhere);
    replace_file(elsewhere / "secret", "content");
    fs::create_symlink(elsewhere, nas.root / "runs");
    fs::create_symlink(elsewhere / "secret", nas.root / "secret");
    nas.add("runs/new", "content");
    CHECK(nas.put().only().state == Delivery::State::failed);
    CHECK(files_below(elsewhere) == 1);

    nas.files.clear();
    nas.add("secret", "content");
    NotedProgress fetched;
    nas.remote.get(nas.to_fetch(), fetched);
    CHECK(fetched.only().state == Delivery::State::failed);
    CHECK(nas.put().only().state == Delivery::State::delivered); // in its own place
    CHECK(fs::is_regular_file(fs::symlink_status(nas.root / "secret")));
}

TEST_CASE("a path that leads out is told as such and nothing is read") {
    Nas nas;
    nas.add("../escaped", "content");
    CHECK(nas.put().only().state == Delivery::State::failed);
    NotedProgress fetched;
    nas.remote.get(nas.to_fetch(), fetched);
    CHECK(fetched.only().state == Delivery::State::failed);
}

TEST_CASE("a damaged copy is neither verified nor fetched") {
    Nas nas;
    nas.add("bit", "content");
    nas.add("gone", "content");
    nas.put();
    replace_file(nas.root / "bit", "cantent");
    fs::remove(nas.root / "gone");
    NotedProgress verified;
    nas.remote.verify(nas.files, verified);
    CHECK(verified.count(Delivery::State::failed) == 2);
    NotedProgress fetched;
    nas.remote.get(nas.to_fetch(), fetched);
    CHECK(fetched.count(Delivery::State::failed) == 2);
    CHECK(files_below(nas.back) == 0);
}

TEST_CASE("a cancelled put leaves nothing half done") {
    Nas nas;
    for (int i = 0; i < 50; ++i) nas.add("runs/" + std::to_string(i), std::string(10'000, 'x'));
    NotedProgress progress;
    progress.cancel_after = 5;
    nas.remote.put(nas.files, progress);
    CHECK(progress.deliveries.size() < 50);
    CHECK(files_below(nas.root) == progress.count(Delivery::State::delivered));
}

TEST_CASE("what a broken copy left behind is removed once it is old") {
    Nas nas;
    make_directories(nas.root / "runs" / "a");
    const fs::path left = nas.root / "runs" / "a" / part_name("x");
    replace_file(left, "half");
    replace_file(nas.root / "runs" / "a" / "kept", "whole");
    CHECK(nas.remote.list("runs/a") == std::vector<std::string>{"kept"});
    CHECK(nas.remote.remove_leftovers(std::chrono::hours(1), false) == 0);
    const utimbuf long_ago{1'000'000'000, 1'000'000'000};
    ::utime(left.c_str(), &long_ago);
    CHECK(nas.remote.remove_leftovers(std::chrono::hours(1), true) == 1);
    CHECK(fs::exists(left));
    CHECK(nas.remote.remove_leftovers(std::chrono::hours(1), false) == 1);
    CHECK_FALSE(fs::exists(left));
    CHECK(files_below(nas.root) == 1);
}
