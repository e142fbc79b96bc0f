#include <catch2/catch.hpp>

#include <stdlib.h>

#include "error.hpp"
#include "files.hpp"
#include "load_settings.hpp"

using namespace poster;
using namespace std::chrono_literals;

namespace {

// A project and a user file in a directory of their own.
class SettingsFiles {
public:
    SettingsFiles() { REQUIRE(::mkdtemp(directory_)); }
    SettingsFiles(const SettingsFiles&) = delete;
    SettingsFiles& operator=(const SettingsFiles&) = delete;
    ~SettingsFiles() { fs::remove_all(directory_); }

    fs::path project() const { return fs::path{directory_} / "poster.toml"; }
    fs::path user() const { return fs::path{directory_} / "config.toml"; }
    Settings load() const {
        auto options = core_options();
        options.push_back({"hardware.interval", OptionType::duration, "10s", ""});
        options.push_back({"hardware.gpus", OptionType::flag, "true", ""});
        options.push_back({"wandb.project", OptionType::text, "", ""});
        options.push_back({"wandb.rate", OptionType::number, "0.5", ""});
        return load_settings({.project_file = project(), .user_file = user()}, options);
    }

private:
    char directory_[32] = "/tmp/poster-test-XXXXXX";
};

std::string complaint(const SettingsFiles& files) {
    try {
        files.load();
    } catch (const UsageError& error) {
        return std::string{error.what()} + " | " + error.help();
    }
    return "none";
}

} // namespace

TEST_CASE("settings without any file are the defaults") {
    const SettingsFiles files;
    const Settings settings = files.load();
    CHECK(settings.duration("run.grace") == 10s);
    CHECK(settings.duration("run.timeout") == 0s);
    CHECK(settings.integer("capture.untracked_limit") == 10'000'000);
    CHECK(settings.list("capture.redact").empty());
    CHECK(settings.flag("hardware.gpus"));
    CHECK_FALSE(settings.contains("hardware"));
    CHECK_THROWS_AS(settings.text("no.such"), Error);
}

TEST_CASE("the later place wins, and each value knows its source") {
    const SettingsFiles files;
    replace_file(files.project(),
                 "store = 'runs'\n[hardware]\ninterval = 5\ngpus = false\n[capture]\nkeep = ['a*', 'b']\n");
    replace_file(files.user(), "[hardware]\ninterval = '1m'\n[wandb]\n");
    ::setenv("POSTER_STORE", "/elsewhere", 1);
    const Settings settings = files.load();
    ::unsetenv("POSTER_STORE");
    CHECK(settings.text("store") == "/elsewhere");
    CHECK(settings.values().find("store")->second.source == "POSTER_STORE");
    CHECK(settings.duration("hardware.interval") == 1min);
    CHECK(settings.values().find("hardware.interval")->second.source == files.user());
    CHECK_FALSE(settings.flag("hardware.gpus"));
    CHECK(settings.list("capture.keep") == std::vector<std::string>{"a*", "b"});
    CHECK(settings.contains("hardware"));
    CHECK(settings.contains("wandb"));
    CHECK_FALSE(settings.contains("wandb.project"));
    CHECK_FALSE(settings.contains("run"));
}

TEST_CASE("a section may be switched off") {
    const SettingsFiles files;
    replace_file(files.project(), "[hardware]\nenabled = false\n");
    CHECK_FALSE(files.load().flag("hardware.enabled"));
}

TEST_CASE("a mistake in a settings file is told with its line and the way out") {
    auto [content, words] = GENERATE(table<std::string, std::string>({
        {"\n[hardware]\nintervall = 5\n",
         "unknown setting 'hardware.intervall' in poster.toml line 3 | did you mean 'hardware.interval'?"},
        {"interval = 5\n", "unknown setting 'interval' in poster.toml line 1 | did you mean 'hardware.interval'?"},
        {"[hardwar]\n", "unknown setting 'hardwar' in poster.toml line 1 | did you mean 'hardware'?"},
        {"[zzzzzzzz]\nqqqqqq = 1\n",
         "unknown setting 'zzzzzzzz.qqqqqq' in poster.toml line 2 | `poster config` lists all settings"},
        {"[ls]\nlimit = 'many'\n", "setting 'ls.limit' in poster.toml line 2 is not a whole number | write it like 10"},
        {"store = 3\n", "setting 'store' in poster.toml line 1 is not a string | write it like \"…\""},
        {"[run]\ngrace = 'soon'\n", "setting 'run.grace' in poster.toml line 2 is not a duration | write it like "
                                    "\"10s\", \"1h30m\" or a number of seconds"},
        {"[store]\nx = 1\n", "setting 'store' in poster.toml line 1 is not a string | write it like \"…\""},
    }));
    const SettingsFiles files;
    replace_file(files.project(), content);
    CHECK(complaint(files) == words);
}

TEST_CASE("a file that is not TOML is told with its line") {
    const SettingsFiles files;
    replace_file(files.project(), "[run]\ngrace = = 3\n");
    CHECK(complaint(files).rfind("poster.toml line 2: ", 0) == 0);
}

TEST_CASE("a variable of the wrong type is told by its name") {
    const SettingsFiles files;
    ::setenv("POSTER_HARDWARE_INTERVAL", "often", 1);
    const std::string words = complaint(files);
    ::unsetenv("POSTER_HARDWARE_INTERVAL");
    CHECK(words.rfind("environment variable POSTER_HARDWARE_INTERVAL is not a duration", 0) == 0);
}
