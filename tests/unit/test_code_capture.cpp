// The code callback on real repositories.

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include "callback_fixture.hpp"

using namespace poster;
using nlohmann::json;

namespace {

constexpr const char* kRepository =
    "git init -q . && printf 'one\\ntwo\\n' > tracked && git add . && "
    "git -c user.name=a -c user.email=a@b commit -q -m one && printf 'one\\nTWO\\n' > tracked && git branch -M trunk";

json capture(CallbackFixture& fixture) {
    fixture.make("code")->on_start(fixture.run);
    return fixture.record["code"];
}

ino_t inode(const fs::path& path) {
    struct stat info{};
    return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

} // namespace

TEST_CASE("the diff applies to a fresh clone whatever the user's diff settings are") {
    auto setting = GENERATE(as<std::string>{}, "diff.noprefix true", "diff.mnemonicPrefix true", "diff.context 0",
                            "diff.external false", "color.ui always", "diff.ignoreSubmodules none");
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kRepository) + " && printf '\\0\\1' > binary && git add binary && git config " + setting);
    capture(fixture);
    auto patch = (fixture.run.dir / "code/diff.patch").string();
    CAPTURE(setting, read_file(patch).value_or(""));
    fixture.shell("git clone -q . ../clone && cd ../clone && git apply '" + patch + "'");
    CHECK(read_file(fixture.root / "clone/tracked") == "one\nTWO\n");
    CHECK(read_file(fixture.root / "clone/binary") == std::string("\0\1", 2));
}

TEST_CASE("two runs of the same state share the diff and the untracked files") {
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kRepository) + " && echo x > new");
    capture(fixture);
    fs::path first = fixture.run.dir;
    fixture.run.dir = fixture.run.store / "runs" / "20261123-070214-aaaa";
    make_directories(fixture.run.dir);
    capture(fixture);
    for (const char* name : {"code/diff.patch", "code/untracked/new"}) {
        CHECK(inode(first / name) != 0);
        CHECK(inode(first / name) == inode(fixture.run.dir / name));
    }
}

TEST_CASE("the subdirectory is told also where the working directory is reached through a link") {
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kRepository) + " && mkdir -p sub/deep && ln -s project ../alias");
    auto cwd = GENERATE(as<std::string>{}, "project/sub/deep", "alias/sub/deep");
    fixture.run.spec.cwd = fixture.root / cwd;
    CHECK(capture(fixture)["subdirectory"] == "sub/deep");
}

TEST_CASE("a remote is recorded without credentials") {
    auto [url, secret] = GENERATE(table<std::string, std::string>({
        {"https://me:hunter2pw@example.org/x.git", "hunter2pw"},
        {"https://0123456789abcdef0123456789abcdef01234567@github.com/x.git", "0123456789abcdef"},
        {"https://plaintokenword@example.org/x.git", "plaintokenword"},
        {"https://x-access-token:abc@github.com/x.git", "abc@"},
    }));
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kRepository) + " && git remote add origin '" + url + "'");
    std::string remote = capture(fixture)["remotes"]["origin"];
    CHECK(remote.find(secret) == std::string::npos);
    CHECK(remote.find("/x.git") != std::string::npos);
}

TEST_CASE("a login that ssh needs stays in a remote") {
    auto url = GENERATE(as<std::string>{}, "git@github.com:a/x.git", "ssh://git@example.org/x.git", "/srv/x.git");
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kRepository) + " && git remote add origin '" + url + "'");
    CHECK(capture(fixture)["remotes"]["origin"] == url);
}

TEST_CASE("very many untracked files are counted, neither listed nor stored one by one") {
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kRepository) + " && mkdir many && cd many && seq 1 10500 | xargs touch");
    auto code = capture(fixture);
    CHECK(code["untracked"].size() == 10000);
    CHECK(code["untracked_omitted"] == 500);
    CHECK(code["dirty"] == true);
}

TEST_CASE("a repository with SHA-256 names and no commit has a diff") {
    CallbackFixture fixture({"true"});
    fixture.shell("git init -q --object-format=sha256 . && echo a > a && git add a");
    auto code = capture(fixture);
    CHECK(code["diff"]["file"] == "code/diff.patch");
}

TEST_CASE("without git nothing is recorded") {
    CallbackFixture fixture({"true"});
    fixture.shell(kRepository);
    std::string path = std::getenv("PATH");
    ::setenv("PATH", "/nowhere", 1);
    fixture.make("code")->on_start(fixture.run);
    ::setenv("PATH", path.c_str(), 1);
    CHECK_FALSE(fixture.record.contains("code"));
}
