#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "error.hpp"
#include "run_id.hpp"
#include "store_fixture.hpp"

using namespace poster;

namespace {

mode_t mode_of(const fs::path& path) {
    struct stat facts{};
    return ::stat(path.c_str(), &facts) == 0 ? facts.st_mode & 07777 : 0;
}

} // namespace

TEST_CASE("the store is beside the nearest .poster, poster.toml or .git, else in the working directory") {
    auto [made, cwd, expected] = GENERATE(table<std::string, std::string, std::string>(
        {{"a/.git", "a/b/c", "a"}, {"a/.poster", "a/b", "a"}, {"a/b/.git", "a/b", "a/b"}, {"x", "a/b/c", "a/b/c"}}));
    TemporaryDirectory place;
    fs::create_directories(place.path() / made);
    fs::create_directories(place.path() / cwd);
    CHECK(default_store(place.path() / cwd) == place.path() / expected / ".poster");
}

TEST_CASE("a file called poster.toml marks the root of a project") {
    TemporaryDirectory place;
    fs::create_directories(place.path() / "a" / "b");
    replace_file(place.path() / "a" / "poster.toml", "");
    CHECK(default_store(place.path() / "a" / "b") == place.path() / "a" / ".poster");
}

TEST_CASE("a store is private and hidden from git") {
    StoreFixture fixture;
    CHECK(mode_of(fixture.store.dir()) == 0700);
    CHECK(read_file(fixture.store.dir() / ".gitignore") == "*\n");
    CHECK(mode_of(fixture.store.dir() / ".gitignore") == 0600);
    fixture.store.create();
    CHECK(fixture.store.exists());
}

TEST_CASE("a store in a folder that holds other files does not hide them from git") {
    TemporaryDirectory place;
    replace_file(place.path() / "train.py", "");
    Store{place.path()}.create();
    CHECK_FALSE(fs::exists(place.path() / ".gitignore"));
}

TEST_CASE("a store that cannot be made says where another can be named") {
    TemporaryDirectory place;
    replace_file(place.path() / "file", "");
    try {
        Store{place.path() / "file" / ".poster"}.create();
        FAIL("it was made");
    } catch (const Error& error) {
        CHECK_THAT(error.what(), Catch::Contains("Not a directory"));
        CHECK_THAT(error.help(), Catch::Contains("--store"));
    }
}

TEST_CASE("a new run has an id of its own and is active until it is unmarked") {
    StoreFixture fixture;
    std::set<std::string> ids;
    const WallTime now = wall_now();
    for (int i = 0; i < 200; ++i) ids.insert(fixture.store.new_run(now));
    REQUIRE(ids.size() == 200);
    CHECK(is_run_id(*ids.begin()));
    CHECK(fixture.store.active_runs() == std::vector<std::string>(ids.begin(), ids.end()));
    fixture.store.unmark_active(*ids.begin());
    CHECK(fixture.store.active_runs().size() == 199);
}

TEST_CASE("a run can be made in a store whose folders were deleted") {
    StoreFixture fixture;
    fs::remove_all(fixture.store.dir());
    const std::string id = fixture.store.new_run(wall_now());
    CHECK(fixture.store.active_runs() == std::vector{id});
}

TEST_CASE("twenty processes that announce at once lose no line") {
    StoreFixture fixture;
    std::vector<pid_t> children;
    for (int i = 0; i < 20; ++i) {
        children.push_back(in_child([&] {
            for (int n = 0; n < 20; ++n)
                fixture.store.announce(fixture.run_record("run" + std::to_string(i * 20 + n)),
                                       fixture.attempt_record());
            return 0;
        }));
    }
    for (const pid_t child : children) CHECK(exit_status(child) == 0);
    const auto feed = read_file(fixture.store.dir() / "feed" / (host_name() + ".jsonl"));
    REQUIRE(feed);
    std::set<std::string> ids;
    for (std::size_t begin = 0, end; (end = feed->find('\n', begin)) != std::string::npos; begin = end + 1) {
        // What looks like half a line while it is being written is "mended" to an empty one: readers pass over it.
        if (end > begin) ids.insert(json::parse(feed->substr(begin, end - begin)).at("id"));
    }
    CHECK(ids.size() == 400);
}

TEST_CASE("an announcement to a store that cannot be written is let go") {
    Store{"/proc/nowhere"}.announce(json{{"id", "x"}}, json::object());
    Store{"/proc/nowhere"}.unmark_active("x");
    CHECK(Store{"/proc/nowhere"}.active_runs().empty());
}
