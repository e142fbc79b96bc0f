// What the machine and its GPUs tell, and what they do not.

#include <catch2/catch.hpp>

#include <machine.hpp>
#include <text.hpp>

#include "callback_fixture.hpp"

using namespace poster;
using nlohmann::json;

namespace {

struct Variable {
    Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    ~Variable() { ::unsetenv(name_); }
    const char* name_;
};

std::vector<json> samples(const CallbackFixture& fixture) {
    std::vector<json> found;
    auto text = read_file(fixture.run.attempt_dir() / "hardware.jsonl").value_or("");
    for (const auto& line : split(text, '\n')) found.push_back(json::parse(line));
    return found;
}

} // namespace

TEST_CASE("a value that a GPU does not tell is null, never zero") {
    Variable library("POSTER_NVML_LIBRARY", FAKE_NVML_PATH);
    CallbackFixture fixture({"true"});
    auto hardware = fixture.make("hardware");
    hardware->on_start(fixture.run);
    hardware->on_tick(fixture.run);
    auto gpus = samples(fixture).back()["gpus"];
    REQUIRE(gpus.size() == 2);
    CHECK(gpus[0]["utilization_percent"] == 87);
    CHECK(gpus[1]["utilization_percent"].is_null());
    CHECK(gpus[1]["temperature_c"] == 61);
}

TEST_CASE("a rate is never told from a reading that was not made") {
    CallbackFixture fixture({"true"});
    auto hardware = fixture.make("hardware"); // a host that was started again: its on_start has been before
    hardware->on_tick(fixture.run);
    auto blind = samples(fixture);
    hardware->on_tick(fixture.run);
    CHECK(blind.empty());
    CHECK(samples(fixture).size() == 1);
}

TEST_CASE("the static facts say where the limits are") {
    CallbackFixture fixture({"true"});
    fixture.make("hardware")->on_start(fixture.run);
    const auto& facts = fixture.record["hardware"];
    for (const char* name : {"cpu_model", "threads", "threads_allowed", "cpus_allowed", "memory_total_bytes",
                             "cgroup_limits", "file_system", "disk_free_bytes"}) {
        CAPTURE(name);
        CHECK(facts.contains(name));
    }
}

TEST_CASE("the tightest limit counts, wherever in the hierarchy it stands") {
    struct File {
        std::string path, content;
    };
    auto [own, files, limits] = GENERATE(table<std::string, std::vector<File>, std::string>({
        {"0::/a/b\n", {{"a/b/memory.max", "max\n"}, {"a/memory.max", "500\n"}}, R"({"memory_max":"500"})"},
        {"0::/a/b\n", {{"a/b/memory.max", "900\n"}, {"a/memory.max", "500\n"}}, R"({"memory_max":"500"})"},
        {"0::/a/b\n", {{"a/b/memory.max", "300\n"}, {"a/memory.max", "500\n"}}, R"({"memory_max":"300"})"},
        {"0::/a\n", {{"a/cpu.max", "max 100000\n"}, {"cpu.max", "150000 100000\n"}}, R"({"cpu_max":"150000 100000"})"},
        {"0::/\n",
         {{"cpu.max", "50000 100000\n"}, {"memory.max", "7\n"}},
         R"({"cpu_max":"50000 100000","memory_max":"7"})"},
        {"0::/not/visible/here\n", {{"memory.max", "7\n"}}, R"({"memory_max":"7"})"},
        {"4:memory:/j\n1:cpu,cpuacct:/j\n0::/\n",
         {{"memory/j/memory.limit_in_bytes", "800\n"},
          {"memory/memory.limit_in_bytes", "9223372036854771712\n"},
          {"cpu/j/cpu.cfs_quota_us", "-1\n"},
          {"cpu/j/cpu.cfs_period_us", "100000\n"},
          {"cpu/cpu.cfs_quota_us", "200000\n"},
          {"cpu/cpu.cfs_period_us", "100000\n"}},
         R"({"cpu_max":"200000 100000","memory_max":"800"})"},
        {"4:memory:/j\n", {{"memory/j/memory.limit_in_bytes", "9223372036854771712\n"}}, "{}"},
        {"", {}, "{}"},
    }));
    CallbackFixture fixture({"true"});
    for (const auto& file : files) {
        make_directories((fixture.root / "cgroup" / file.path).parent_path());
        replace_file(fixture.root / "cgroup" / file.path, file.content);
    }
    CAPTURE(own);
    CHECK(cgroup_limits(fixture.root / "cgroup", own) == json::parse(limits));
}

TEST_CASE("the version of the driver is found in either wording") {
    auto [text, version] = GENERATE(table<std::string, std::string>({
        {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc "
         "version 12.2.0\n",
         "535.104.05"},
        {"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n", "570.86.15"},
        {"", ""},
    }));
    CHECK(driver_version(text) == version);
}
