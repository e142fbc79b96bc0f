// The list of files that a run leaves behind.

#include <catch2/catch.hpp>

#include <chrono>

#include "callback_fixture.hpp"

using namespace poster;
using nlohmann::json;

namespace {

json listed(CallbackFixture& fixture, Deadline deadline = Deadline::max()) {
    fixture.make("local_directory")->on_end(fixture.run, {}, deadline);
    json by_path = json::object();
    for (const auto& file : fixture.record["files"]) by_path[file["path"].get<std::string>()] = file;
    return by_path;
}

void put(const CallbackFixture& fixture, const std::string& name, const std::string& content = "x") {
    make_directories((fixture.run.dir / name).parent_path());
    replace_file(fixture.run.dir / name, content);
}

} // namespace

TEST_CASE("only poster's own files are left out, not those of the same name that a program stored") {
    auto [name, expected] = GENERATE(table<std::string, bool>({
        {"run.json", false},
        {"attempts/1/lock", false},
        {"attempts/12/heartbeat", false},
        {"attempts/1/hooks.jsonl", false},
        {"attempts/1/poster.log", false},
        {"attempts/1/output.log", true},
        {"files/run.json", true},
        {"files/lock", true},
        {"code/untracked/poster.log", true},
        {"code/untracked/attempts/1/lock", true},
    }));
    CallbackFixture fixture({"true"});
    put(fixture, name);
    CHECK(listed(fixture).contains(name) == expected);
}

TEST_CASE("links are not followed") {
    CallbackFixture fixture({"true"});
    put(fixture, "files/real");
    fs::create_symlink("/etc", fixture.run.dir / "files" / "outside");
    fs::create_symlink("real", fixture.run.dir / "files" / "link");
    auto files = listed(fixture);
    CHECK(files.size() == 1);
    CHECK(files.contains("files/real"));
}

TEST_CASE("a file over the limit, and any file when time is short, is listed without its hash") {
    CallbackFixture fixture({"true"});
    fixture.settings.set("local_directory.hash_limit", "1000", "test");
    put(fixture, "files/big", std::string(1001, 'b'));
    put(fixture, "files/small", std::string(1000, 's'));
    SECTION("limit") {
        auto files = listed(fixture);
        CHECK_FALSE(files["files/big"].contains("sha256"));
        CHECK(files["files/small"].contains("sha256"));
    }
    SECTION("deadline") {
        auto files = listed(fixture, std::chrono::steady_clock::now());
        CHECK(files["files/small"]["bytes"] == 1000);
        CHECK_FALSE(files["files/small"].contains("sha256"));
    }
}

TEST_CASE("a large file does not make the list miss its deadline") {
    CallbackFixture fixture({"true"});
    fixture.settings.set("local_directory.hash_limit", "100000000000", "test");
    make_directories(fixture.run.dir / "files");
    fixture.shell("truncate -s 20G '" + (fixture.run.dir / "files/huge").string() + "'");
    auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(1'400);
    auto files = listed(fixture, deadline);
    CHECK(std::chrono::steady_clock::now() < deadline);
    CHECK(files["files/huge"]["bytes"] == 20LL << 30);
    CHECK_FALSE(files["files/huge"].contains("sha256"));
}
