#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <text.hpp>

#include "callback_fixture.hpp"

using namespace poster;
using nlohmann::json;

namespace {

constexpr const char* kCommit = "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one";

json last_line(const fs::path& file) {
    auto lines = split(read_file(file).value_or(""), '\n');
    return lines.empty() ? json() : json::parse(lines.back());
}

struct Variable {
    Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    ~Variable() { ::unsetenv(name_); }
    const char* name_;
};

} // namespace

TEST_CASE("the config callback redacts secrets and keeps the rest typed") {
    CallbackFixture fixture({"prog", "--lr", "0.1", "--api-key", "abc", "--max-tokens", "512"});
    fixture.make("config")->on_start(fixture.run);
    const auto& values = fixture.record["config"]["values"];
    CHECK(values["lr"] == 0.1);
    CHECK(values["api-key"] == "<redacted>");
    CHECK(values["max-tokens"] == 512);
}

TEST_CASE("the config callback writes its section again where it has changed, and whole") {
    CallbackFixture fixture({"prog", "--lr", "0.1"});
    const auto config = fixture.make("config");
    config->on_start(fixture.run);
    config->on_end(fixture.run, Outcome{}, Deadline::max());
    CHECK(fixture.replaced == 1);
    config->on_event(fixture.run, Event(R"({"kind":"config","values":{"epochs":3}})", "h.1"));
    config->on_end(fixture.run, Outcome{}, Deadline::max());
    CHECK(fixture.replaced == 2);
    CHECK(fixture.record["config"]["values"] == json{{"lr", 0.1}, {"epochs", 3}});
}

TEST_CASE("outside a git repository no code is recorded") {
    CallbackFixture fixture({"true"});
    fixture.make("code")->on_start(fixture.run);
    CHECK_FALSE(fixture.record.contains("code"));
}

TEST_CASE("the code callback records commit, diff and untracked files") {
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kCommit) +
                  "; git branch -M trunk; echo a > tracked; git add tracked; printf x > new; "
                  "chmod +x new; ln -s new link; git remote add origin https://me:pw@example.org/x.git");
    fixture.make("code")->on_start(fixture.run);
    const auto& code = fixture.record["code"];
    CHECK(code["commit"].get<std::string>().size() == 40);
    CHECK(code["branch"] == "trunk");
    CHECK(code["dirty"] == true);
    CHECK(code["remotes"]["origin"].get<std::string>().find("pw") == std::string::npos);
    CHECK(read_file(fixture.run.dir / "code/diff.patch")->find("+a") != std::string::npos);
    REQUIRE(code["untracked"].size() == 2);
    CHECK(code["untracked"][0] == json{{"path", "link"}, {"bytes", 3}, {"stored", false}, {"link", "new"}});
    CHECK(code["untracked"][1]["executable"] == true);
    CHECK(read_file(fixture.run.dir / "code/untracked/new") == "x");
}

TEST_CASE("a repository without commits or with a detached head is no error") {
    CallbackFixture fixture({"true"});
    SECTION("no commits") {
        fixture.shell("git init -q . && echo a > a && git add a");
        fixture.make("code")->on_start(fixture.run);
        CHECK(fixture.record["code"]["commit"].is_null());
        CHECK(fixture.record["code"]["dirty"] == true);
    }
    SECTION("a detached head") {
        fixture.shell(std::string(kCommit) + "; git checkout -q --detach");
        fixture.make("code")->on_start(fixture.run);
        CHECK(fixture.record["code"]["branch"].is_null());
        CHECK(fixture.record["code"]["dirty"] == false);
    }
}

TEST_CASE("untracked files beyond the limit are listed and not stored") {
    CallbackFixture fixture({"true"});
    fixture.shell(std::string(kCommit) + "; head -c 20000 /dev/zero > big; echo s > small");
    fixture.settings.set("capture.untracked_limit", "10000", "test");
    fixture.make("code")->on_start(fixture.run);
    const auto& untracked = fixture.record["code"]["untracked"];
    CHECK(untracked[0]["stored"] == false);
    CHECK(untracked[1]["stored"] == true);
}

TEST_CASE("the python callback asks the interpreter that the command or its first line names") {
    CallbackFixture fixture({"placeholder"});
    auto script = fixture.run.spec.cwd / "script";
    fixture.shell("printf '#!/usr/bin/env python3\\n' > script; chmod +x script");
    auto [word, is_python] = GENERATE(table<std::string, bool>({{"python3", true}, {"SCRIPT", true}, {"true", false}}));
    fixture.run.spec.argv = {word == "SCRIPT" ? script.string() : word};
    fixture.make("python")->on_start(fixture.run);
    CHECK(fixture.record.contains("python") == is_python);
    if (is_python) CHECK(fixture.record["python"]["version"].get<std::string>().starts_with("3."));
}

TEST_CASE("the hardware callback samples the tree and the machine") {
    CallbackFixture fixture({"true"});
    auto hardware = fixture.make("hardware");
    hardware->on_start(fixture.run);
    hardware->on_tick(fixture.run);
    auto sample = last_line(fixture.run.attempt_dir() / "hardware.jsonl");
    CHECK(sample["tree"]["rss_bytes"] > 100'000);
    CHECK(sample["tree"]["processes"] >= 1);
    CHECK(sample["machine"]["memory_total_bytes"] > sample["machine"]["memory_used_bytes"]);
    CHECK(fixture.peak == sample["tree"]["rss_bytes"]);
    CHECK(fixture.record["hardware"]["threads"] >= 1);
}

TEST_CASE("GPUs are read through the library that NVML is") {
    Variable library("POSTER_NVML_LIBRARY", FAKE_NVML_PATH);
    CallbackFixture fixture({"true"});
    auto hardware = fixture.make("hardware");
    hardware->on_start(fixture.run);
    hardware->on_tick(fixture.run);
    auto gpus = last_line(fixture.run.attempt_dir() / "hardware.jsonl")["gpus"];
    REQUIRE(gpus.size() == 2);
    CHECK(gpus[0]["name"] == "Fake GPU 0");
    CHECK(gpus[0]["utilization_percent"] == 87);
    CHECK(gpus[0]["power_w"] == 312.5);
    CHECK(gpus[1]["utilization_percent"].is_null()); // not supported there
    CHECK(gpus[1]["memory_used_bytes"] == 2'000'000'000);
    CHECK(gpus[1]["temperature_c"] == 61);
    CHECK(fixture.record["hardware"]["gpus"][1]["uuid"] == "GPU-fake-1");
}

TEST_CASE("a driver that cannot be used costs nothing but the reason") {
    auto [variable, value, reason] = GENERATE(
        table<const char*, const char*, const char*>({{"POSTER_NVML_LIBRARY", "/nowhere.so", "cannot be loaded"},
                                                      {"FAKE_NVML_FAIL", "1", "error 9 (Driver Not Loaded)"}}));
    Variable library("POSTER_NVML_LIBRARY", FAKE_NVML_PATH);
    Variable trouble(variable, value);
    CallbackFixture fixture({"true"});
    auto hardware = fixture.make("hardware");
    hardware->on_start(fixture.run);
    hardware->on_tick(fixture.run);
    CHECK(last_line(fixture.run.attempt_dir() / "hardware.jsonl")["gpus"].empty());
    CHECK(fixture.record["hardware"]["gpu_sampling"].get<std::string>().find(reason) != std::string::npos);
}

TEST_CASE("the local directory lists its files with sizes and hashes") {
    CallbackFixture fixture({"true"});
    auto directory = fixture.make("local_directory");
    make_directories(fixture.run.dir / "files");
    replace_file(fixture.run.dir / "files" / "a", "hello");
    replace_file(fixture.run.dir / "run.json", "{}");
    directory->on_end(fixture.run, {}, Deadline::max());
    REQUIRE(fixture.record["files"].size() == 1);
    CHECK(fixture.record["files"][0]["path"] == "files/a");
    CHECK(fixture.record["files"][0]["bytes"] == 5);
    CHECK(fixture.record["files"][0]["sha256"] == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
}

TEST_CASE("a program that imports wandb is to be interrupted before it is terminated, and no other one") {
    auto [line, expected] = GENERATE(table<std::string, bool>({
        {R"({"kind":"uses","module":"wandb"})", true},
        {R"({"kind":"uses","module":"mlflow"})", false},
        {R"({"kind":"uses"})", false},
    }));
    CAPTURE(line);
    CallbackFixture fixture({"true"});
    auto wandb = fixture.make("wandb");
    const Event event(line, "h.1");
    REQUIRE(wandb->wants(event.kind()));
    wandb->on_event(fixture.run, event);
    CHECK(fixture.interrupts_first == expected);
    CHECK_FALSE(wandb->wants("metric"));
}
