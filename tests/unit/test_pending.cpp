// Which files of a run are to be copied, and how long a passing trouble is waited out.

#include <catch2/catch.hpp>

#include <backoff.hpp>
#include <files.hpp>
#include <load_settings.hpp>
#include <manifest.hpp>
#include <pending.hpp>
#include <registry.hpp>

#include "store_fixture.hpp"

namespace poster {

namespace {

Settings settings_with(const std::string& include, const std::string& exclude) {
    std::vector<Option> options = core_options();
    for (auto& option : callback_options()) options.push_back(option);
    Settings settings = load_settings({{}, {}, false}, options);
    if (!include.empty()) settings.set("upload.include", include, "test");
    if (!exclude.empty()) settings.set("upload.exclude", exclude, "test");
    return settings;
}

} // namespace

TEST_CASE("what is copied follows include and exclude, and leaves out what is poster's own") {
    const TemporaryDirectory folder;
    for (const char* path : {"run.json", "attempts/1/attempt.json", "attempts/1/lock", "attempts/1/heartbeat",
                             "attempts/1/claim.1", "attempts/1/events/a.jsonl", "code/diff.patch", "config/c.yaml",
                             "files/a b.pt", "files/big/x.ckpt", "images/i.png", "outbox/s3.vm.jsonl",
                             "worktree/train.py", "files/lock", "files/.a.pt.12.0.tmp", "manifest.json", "notes.txt"}) {
        make_directories((folder.path() / path).parent_path());
        replace_file(folder.path() / path, "x");
    }
    fs::create_symlink("/etc/passwd", folder.path() / "files/link");
    const auto [include, exclude, wanted] = GENERATE(table<std::string, std::string, std::vector<std::string>>({
        {"",
         "",
         {"attempts/1/attempt.json", "attempts/1/events/a.jsonl", "code/diff.patch", "config/c.yaml", "files/a b.pt",
          "files/big/x.ckpt", "files/lock", "images/i.png", "run.json"}},
        {"files", "", {"files/a b.pt", "files/big/x.ckpt", "files/lock"}},
        {"*.pt,run.json", "", {"files/a b.pt", "run.json"}},
        {"files/", "*.ckpt,lock", {"files/a b.pt"}},
        {"files/*", "files/big", {"files/a b.pt", "files/lock"}},
        {"*", "attempts,code,config,files,images", {"notes.txt", "run.json"}},
    }));
    std::vector<std::string> found;
    for (const auto& file : files_to_copy(folder.path(), settings_with(include, exclude))) found.push_back(file.path);
    CHECK(found == wanted);
}

TEST_CASE("the waits double, spread, end at ten minutes, and give way to what the remote asks") {
    for (int tries = 1; tries < 40; ++tries) {
        const auto wait = wait_after(tries, std::nullopt);
        const double plain = std::min(1000.0 * double(1 << std::min(tries - 1, 10)), 600'000.0);
        CHECK(double(wait.count()) >= plain * 0.74);
        CHECK(double(wait.count()) <= plain * 1.26);
    }
    CHECK(wait_after(1, Milliseconds(90'000)) == Milliseconds(90'000));
}

TEST_CASE("a manifest comes back as it was, and one that is none is refused") {
    Manifest manifest;
    manifest.files["files/ü \"x\".pt"] = {5'368'709'120, 1'795'629'288'849'370'406, "aa", {}};
    manifest.coming["files/ü \"x\".pt"] = {{1, 2, "bb", {}}, {3, 4, "cc", {}}};
    const auto back = manifest_from_json(to_json(manifest));
    REQUIRE(back);
    const auto& coming = back->coming.at("files/ü \"x\".pt");
    REQUIRE(coming.size() == 2);
    CHECK(coming[1].bytes == 3);
    CHECK(coming[1].modified_ns == 4);
    CHECK(coming[1].sha256 == "cc");
    CHECK(back->files.at("files/ü \"x\".pt").bytes == 5'368'709'120);
    CHECK(back->files.at("files/ü \"x\".pt").modified_ns == 1'795'629'288'849'370'406);
    for (const char* text :
         {"", "[]", "{}", R"({"format":2,"files":[]})", R"({"format":1,"files":[1]})",
          R"({"format":1,"files":[{"path":"a"}]})", R"({"format":1,"files":[{"path":"","bytes":1}]})"})
        CHECK_FALSE(manifest_from_json(text));
}

} // namespace poster
