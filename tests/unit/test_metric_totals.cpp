#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include "callback_fixture.hpp"
#include "metric_totals.hpp"
#include "records.hpp"

using namespace poster;
using nlohmann::json;

namespace {

// Lines "WRITER LINE" into totals.
json totals_of(const std::vector<std::pair<std::string, std::string>>& lines) {
    MetricTotals totals;
    MetricLineParser parser;
    for (const auto& [writer, text] : lines) {
        const auto* line = parser.parse(text);
        REQUIRE(line != nullptr);
        totals.add(*line, writer, 1000);
    }
    return totals.to_json();
}

std::string metric(const std::string& fields, const std::string& values) {
    return R"({"kind":"metric")" + fields + R"(,"values":{)" + values + "}}";
}

} // namespace

TEST_CASE("the totals of a metric are its last, least and greatest value, with their steps") {
    CHECK(totals_of({{"w", metric(R"(,"time":1,"step":1)", R"("loss":3,"acc":0)")},
                     {"w", metric(R"(,"time":2,"step":2)", R"("loss":1)")},
                     {"w", metric(R"(,"time":3)", R"("loss":2)")}}) ==
          json::parse(R"({"loss":{"last":2.0,"last_step":null,"last_time":3.0,"min":1.0,"min_step":2,"max":3.0,
                          "max_step":1,"count":3},
                          "acc":{"last":0.0,"last_step":1,"last_time":1.0,"min":0.0,"min_step":1,"max":0.0,
                          "max_step":1,"count":1}})"));
}

TEST_CASE("a metric is of rank 0, or of the lowest rank that logs it") {
    const auto totals = totals_of({{"b", metric(R"(,"rank":2)", R"("loss":5,"only":7)")},
                                   {"a", metric(R"(,"rank":0)", R"("loss":4)")},
                                   {"c", metric(R"(,"rank":1)", R"("loss":9,"only":6)")},
                                   {"d", metric("", R"("loss":3)")}});
    CHECK(totals["loss"]["count"] == 2);
    CHECK(totals["loss"]["max"] == 4.0);
    CHECK(totals["only"]["last"] == 6.0);
    CHECK(totals["only"]["count"] == 1);
}

TEST_CASE("NaN is neither least nor greatest, and stays the last value") {
    const auto totals =
        totals_of({{"w", metric("", R"("a":1,"b":NaN)")}, {"w", metric("", R"("a":NaN,"c":-Infinity)")}});
    CHECK(totals["a"]["last"] == "NaN");
    CHECK(totals["a"]["min"] == 1.0);
    CHECK(totals["b"]["min"].is_null());
    CHECK(totals["c"]["min"] == "-Infinity");
}

TEST_CASE("of two writers the later time is last; of one, the later line") {
    CHECK(totals_of({{"a", metric(R"(,"time":9)", R"("x":1)")},
                     {"b", metric(R"(,"time":5)", R"("x":2)")}})["x"]["last"] == 1.0);
    CHECK(totals_of({{"a", metric(R"(,"time":9)", R"("x":1)")},
                     {"a", metric(R"(,"time":5)", R"("x":2)")}})["x"]["last"] == 2.0);
}

TEST_CASE("the metrics of a run are those of its attempts together") {
    CallbackFixture fixture({"true"});
    auto write = [&](const char* attempt, const char* text) {
        make_directories(fixture.run.dir / "attempts" / attempt);
        replace_file(fixture.run.dir / "attempts" / attempt / "metrics.json", text);
    };
    write("1", R"({"loss":{"last":2,"last_step":5,"last_time":1,"min":1,"min_step":3,"max":9,"max_step":1,"count":5},
                   "old":{"last":1,"last_step":1,"last_time":1,"min":1,"min_step":1,"max":1,"max_step":1,"count":1}})");
    write("10",
          R"({"loss":{"last":0.5,"last_step":9,"last_time":2,"min":0.5,"min_step":9,"max":1,"max_step":8,"count":2}})");
    write(
        "2",
        R"({"loss":{"last":"NaN","last_step":6,"last_time":2,"min":null,"min_step":null,"max":null,"max_step":null,"count":1}})");
    const auto metrics = metrics_of_run(fixture.run.dir);
    CHECK(metrics["loss"] == json::parse(R"({"last":0.5,"last_step":9,"last_time":2,"min":0.5,"min_step":9,"max":9,
                                             "max_step":1,"count":8})"));
    CHECK(metrics["old"]["last"] == 1);
}

TEST_CASE("the callback metrics writes what was logged, and the summary into the record") {
    CallbackFixture fixture({"true"});
    auto callback = fixture.make("metrics");
    REQUIRE(callback);
    const std::vector<std::string> lines{
        metric(R"(,"step":1)", R"("loss":0.5)"), R"({"kind":"summary","values":{"best":1,"api_key":"abc123"}})",
        metric(R"(,"step":2)", R"("loss":0.25)"), R"({"kind":"summary","values":{"best":2}})",
        R"({"kind":"summary","values":{"db":{"password":"swordfish","size":3}}})"};
    std::vector<Event> events;
    for (const auto& line : lines) events.emplace_back(line, "h.1");
    callback->on_step(fixture.run, Step{events});
    callback->on_end(fixture.run, Outcome{}, Deadline::max());
    const auto metrics = read_json(fixture.run.attempt_dir() / "metrics.json");
    REQUIRE(metrics);
    CHECK((*metrics)["loss"]["last"] == 0.25);
    CHECK((*metrics)["loss"]["count"] == 2);
    CHECK(fixture.record["summary"] ==
          json{{"best", 2}, {"api_key", "<redacted>"}, {"db", {{"password", "<redacted>"}, {"size", 3}}}});
    CHECK_FALSE(callback->wants("message"));
}
