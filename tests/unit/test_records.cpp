#include <catch2/catch.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "clock.hpp"
#include "files.hpp"
#include "records.hpp"
#include "redact.hpp"

using namespace poster;
using nlohmann::json;

namespace {

RunSpec full_spec() {
    RunSpec spec;
    spec.argv = {"python", "a b.py", "", "--api-key", "Xy12"};
    spec.cwd = "/tmp/some where";
    spec.environment = {{"B", "2"}, {"A", "x=y"}, {"B", "3"}, {"MY_TOKEN", "Zz91"}, {"EMPTY", ""}};
    spec.name = "baseline";
    spec.tags = {"cifar", "night"};
    spec.note = "a note";
    spec.group = "g";
    spec.parent = "p";
    spec.timeout = Milliseconds{90'500};
    spec.grace = Milliseconds{250};
    return spec;
}

void check_equal(const RunSpec& a, const RunSpec& b) {
    CHECK(a.argv == b.argv);
    CHECK(a.cwd == b.cwd);
    CHECK(a.environment == b.environment);
    CHECK(a.name == b.name);
    CHECK(a.tags == b.tags);
    CHECK(a.note == b.note);
    CHECK(a.group == b.group);
    CHECK(a.parent == b.parent);
    CHECK(a.timeout == b.timeout);
    CHECK(a.grace == b.grace);
}

} // namespace

TEST_CASE("a spec survives the way to JSON and back") {
    check_equal(spec_from_json(spec_to_json(full_spec())), full_spec());
    check_equal(spec_from_json(spec_to_json(RunSpec{})), RunSpec{});
}

TEST_CASE("a spec is read from whatever an older or edited record holds") {
    const std::string text =
        GENERATE(values<std::string>({"{}", "[]", "3", R"({"argv": "x", "tags": [1], "grace_s": "a", "name": 3})"}));
    check_equal(spec_from_json(json::parse(text)), RunSpec{});
}

TEST_CASE("an outcome survives the way to JSON and back, and unknown fields stay") {
    Outcome outcome;
    outcome.status = Status::killed;
    outcome.signal = SIGKILL;
    outcome.received_signal = SIGTERM;
    outcome.sender = Sender{812, 0, "slurmstepd"};
    outcome.reason = "why";
    outcome.error = "ValueError: x";
    outcome.ended_at = *parse_iso8601("2026-11-23T07:02:13.042Z");
    outcome.duration = Milliseconds{3217};
    outcome.user_seconds = 1.25;
    outcome.peak_memory_bytes = 1ULL << 40;
    outcome.left_behind = 2;
    outcome.log_truncated = true;
    json attempt{{"future", 7}, {"status", "running"}};
    CHECK_FALSE(outcome_from_json(attempt));
    put_outcome(attempt, outcome);
    CHECK(attempt["future"] == 7);
    CHECK(attempt["signal"] == "SIGKILL");
    CHECK(attempt["received_signal"] == "SIGTERM");
    CHECK(attempt["exit_code"].is_null());
    CHECK(attempt["ended_at"] == "2026-11-23T07:02:13.042Z");
    CHECK(attempt["duration_s"] == 3.217);
    const auto back = outcome_from_json(attempt);
    REQUIRE(back);
    json again{{"future", 7}};
    put_outcome(again, *back);
    CHECK(again == attempt);
}

TEST_CASE("a new run record holds no secret") {
    ::setenv("POSTER_TEST_SECRET", "Qq77Qq", 1);
    const json run = new_run_record("20261123-070213-k7qd", full_spec(), "/usr/bin/python", Redactor{});
    ::unsetenv("POSTER_TEST_SECRET");
    const std::string text = run.dump(2, ' ', false, json::error_handler_t::replace);
    CHECK(text.find("Xy12") == std::string::npos);
    CHECK(text.find("Zz91") == std::string::npos);
    CHECK(text.find("Qq77Qq") == std::string::npos);
    CHECK(run["format"] == kFormat);
    CHECK(run["program"] == "/usr/bin/python");
    CHECK(run["environment"]["POSTER_TEST_SECRET"] == kRedacted);
    CHECK(run["environment"]["B"] == "3");
    CHECK(run["command"] == "python 'a b.py' '' --api-key '<redacted>'");
    CHECK(run["kernel"].get<std::string>().rfind("Linux ", 0) == 0);
    CHECK_FALSE(run["user"].get<std::string>().empty());
    CHECK(new_run_record("x", full_spec(), {}, Redactor{})["program"].is_null());
}

TEST_CASE("a new attempt is running") {
    const json attempt = new_attempt_record(2, full_spec());
    CHECK(attempt["attempt"] == 2);
    CHECK(attempt["status"] == "running");
    CHECK(attempt["pid"] == ::getpid());
    CHECK(attempt["grace_s"] == 0.25);
    CHECK_FALSE(outcome_from_json(attempt));
}

TEST_CASE("bytes that are no UTF-8 do not keep a record from being written") {
    char directory[] = "/tmp/poster-test-XXXXXX";
    REQUIRE(::mkdtemp(directory));
    const fs::path path = fs::path{directory} / "run.json";
    RunSpec spec = full_spec();
    spec.argv = {"a\xff\xfe", "\xc3"};
    write_json(path, spec_to_json(spec));
    CHECK(read_json(path)->at("argv").at(0) == "a\uFFFD\uFFFD");
    replace_file(path, "{\"half\": ");
    CHECK_FALSE(read_json(path));
    fs::remove_all(directory);
    CHECK_FALSE(read_json(path));
}
