#include <catch2/catch.hpp>

#include <captured_config.hpp>

using namespace poster;
using nlohmann::json;

namespace {

// {"lr":1} as a call of a framework, with what else the event says.
json call(const std::string& framework, const std::string& values, const std::string& more = "{}") {
    json event{{"kind", "capture"}, {"pid", 1}, {"main", true}, {"framework", framework}};
    event["values"] = json::parse(values);
    event.update(json::parse(more));
    return event;
}

json phase(const std::string& name, int job, const std::string& more = "{}") {
    json event{{"kind", "capture"}, {"pid", 1}, {"main", true}, {"framework", "hydra"}, {"mode", "MULTIRUN"}};
    event.update({{"phase", name}, {"job", job}});
    event.update(json::parse(more));
    return event;
}

json section_of(const std::vector<json>& events, const std::string& program = "", bool ended = false) {
    CapturedConfig captured;
    captured.set_program(program);
    for (const auto& event : events) captured.add("host.1", event);
    return captured.section(ended);
}

} // namespace

TEST_CASE("a parser that runs twice is one record, and its last word counts") {
    auto section = section_of({call("argparse", R"({"lr":1,"seed":2})", R"({"given":["lr"],"defaults":{"seed":2}})"),
                               call("argparse", R"({"lr":3})", R"({"given":["lr","x"],"extra":["rest"]})")});
    CHECK(section["values"] == json::parse(R"({"lr":3,"seed":2})"));
    CHECK(section["given"] == json::parse(R"(["lr","x"])"));
    CHECK(section["defaults"] == json::parse(R"({"seed":2})"));
    CHECK(section["extra"] == json::parse(R"(["rest"])"));
    CHECK(section["source"] == "argparse");
    CHECK(section["rung"] == "hook");
    CHECK_FALSE(section.contains("commands"));
}

TEST_CASE("the commands of a chain share one table of values") {
    SECTION("a name of the inner command is plain, on a clash it bears the command") {
        auto section = section_of({call("click", R"({"seed":4,"lr":1})", R"({"command":"app.py","given":["seed"]})"),
                                   call("click", R"({"lr":3})", R"({"command":"app.py train","given":["lr"]})")});
        CHECK(section["values"] == json::parse(R"({"seed":4,"lr":1,"train.lr":3})"));
        CHECK(section["given"] == json::parse(R"(["seed","train.lr"])"));
        CHECK(section["commands"][1]["values"] == json::parse(R"({"lr":3})"));
        CHECK(section["command"] == "app.py train");
    }
    SECTION("each call of a Fire chain counts, also of the same function") {
        const auto add = [](int x) { return call("fire", json{{"x", x}}.dump(), R"({"command":"Sum.add"})"); };
        CHECK(section_of({add(1), add(2), add(3)})["values"] == json::parse(R"({"x":1,"add.x":2,"add.2.x":3})"));
    }
}

TEST_CASE("one process speaks for the run") {
    auto [events, program, speaker] = GENERATE(table<std::string, std::string, int>({
        // the first that calls itself main
        {R"([{"pid":1,"main":false},{"pid":2,"main":true},{"pid":3,"main":true}])", "", 2},
        // rank 0 before the others
        {R"([{"pid":1,"main":true,"rank":1},{"pid":2,"main":true,"rank":0}])", "", 2},
        // the script before the launcher that started it
        {R"([{"pid":1,"main":true,"program":"torchrun"},{"pid":2,"main":false,"program":"t.py","rank":1},
             {"pid":3,"main":false,"program":"t.py","rank":0}])",
         "t.py", 3},
        // better a worker than nobody
        {R"([{"pid":7,"main":false}])", "", 7},
    }));
    CAPTURE(events);
    std::vector<json> all;
    for (auto& event : json::parse(events))
        all.push_back(call("argparse", json{{"v", event["pid"]}}.dump(), event.dump()));
    CHECK(section_of(all, program)["values"]["v"] == speaker);
}

TEST_CASE("Hydra's configuration wins over the parsers it uses") {
    auto job = phase("job_start", 0, R"({"mode":"RUN","values":{"lr":1},"overrides":["lr=1","db@x=pg","~y"]})");
    auto section = section_of({call("argparse", R"({"a":1})"), job}, "", true);
    CHECK(section["source"] == "hydra");
    CHECK(section["values"] == json::parse(R"({"lr":1})"));
    CHECK(section["given"] == json::parse(R"(["lr","db"])"));
    CHECK(section["also"][0]["values"] == json::parse(R"({"a":1})"));
    CHECK(section["status"] == "INTERRUPTED");
    CHECK_FALSE(section.contains("jobs"));
}

TEST_CASE("each job of a sweep has its own configuration and status") {
    const std::vector<json> events{
        phase("run_start", 0, R"({"overrides":["lr=1,2"],"sweep_dir":"/s","values":{"lr":9}})"),
        phase("job_start", 0, R"({"values":{"lr":1,"seed":3},"overrides":["lr=1"],"output_dir":"/s/0"})"),
        phase("job_end", 0, R"({"status":"COMPLETED"})"),
        phase("job_start", 1, R"({"values":{"lr":2,"seed":3},"overrides":["lr=2"],"output_dir":"/s/1"})"),
        phase("job_end", 1, R"({"status":"FAILED","error":"ValueError: x"})"),
        phase("job_start", 2, R"({"values":{"lr":4,"seed":3}})"),
    };
    auto section = section_of(events);
    CHECK(section["values"] == json::parse(R"({"seed":3})"));
    CHECK(section["overrides"] == json::parse(R"(["lr=1,2"])"));
    CHECK(section["sweep_dir"] == "/s");
    REQUIRE(section["jobs"].size() == 3);
    CHECK(section["jobs"][0]["status"] == "COMPLETED");
    CHECK(section["jobs"][1]["error"] == "ValueError: x");
    CHECK(section["jobs"][1]["output_dir"] == "/s/1");
    CHECK_FALSE(section["jobs"][2].contains("status"));
    CHECK(section_of(events, "", true)["jobs"][2]["status"] == "INTERRUPTED");
}

TEST_CASE("jobs that a launcher runs in processes of their own belong to the sweep") {
    CapturedConfig captured;
    captured.add("host.1", phase("run_start", 0, R"({"overrides":["lr=1,2"]})"));
    for (int job : {1, 0}) {
        auto start = phase("job_start", job, R"({"main":false,"values":{}})");
        start["pid"] = 100 + job;
        captured.add("host." + std::to_string(100 + job), start);
    }
    auto section = captured.section(false);
    REQUIRE(section["jobs"].size() == 2);
    CHECK(section["jobs"][0]["number"] == 0);
}

TEST_CASE("several launches of one program are jobs of the run") {
    auto run = [](int number) {
        return phase("job_start", 0,
                     json{{"mode", "RUN"}, {"framework", "hydra-zen"}, {"values", {{"n", number}}}}.dump());
    };
    auto section = section_of({run(1), phase("job_end", 0, R"({"status":"COMPLETED"})"), run(2)});
    CHECK(section["source"] == "hydra-zen");
    REQUIRE(section["jobs"].size() == 2);
    CHECK(section["jobs"][0]["status"] == "COMPLETED");
    CHECK(section["jobs"][1]["values"]["n"] == 2);
}

TEST_CASE("an event of any shape is no obstacle") {
    auto text =
        GENERATE(as<std::string>{}, "{}", R"({"framework":3})", R"({"framework":"x","values":[1]})",
                 R"({"framework":"hydra","phase":"job_end"})", R"({"framework":"hydra","phase":7,"overrides":3})",
                 R"({"framework":"hydra","phase":"job_start","values":3,"overrides":[1,null],"job":"x"})",
                 R"({"framework":"fire","given":{},"defaults":1,"extra":"x","rank":"0","pid":null})");
    CapturedConfig captured;
    captured.add("", json::parse(text));
    CHECK_NOTHROW(captured.section(true));
}
