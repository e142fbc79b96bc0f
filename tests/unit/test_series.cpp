#include <cmath>
#include <filesystem>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <event_files.hpp>
#include <files.hpp>
#include <metric_rows.hpp>
#include <numbers.hpp>
#include <output_file.hpp>
#include <series.hpp>

using namespace poster;

namespace {

class RunDirectory {
public:
    RunDirectory() {
        char name[] = "/tmp/poster-series-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        dir_ = name;
    }
    ~RunDirectory() { fs::remove_all(dir_); }
    RunDirectory(const RunDirectory&) = delete;
    RunDirectory& operator=(const RunDirectory&) = delete;

    const fs::path& dir() const { return dir_; }
    void write(int attempt, const std::string& writer, const std::string& text) const {
        const fs::path events = dir_ / "attempts" / std::to_string(attempt) / "events";
        fs::create_directories(events);
        replace_file(events / (writer + ".jsonl"), text);
    }
    Series only(const SeriesQuery& query) const {
        auto found = read_metrics(dir_, query).series;
        REQUIRE(found.size() == 1);
        return found[0];
    }

private:
    fs::path dir_;
};

std::string point(const char* name, double value, int step, double time = 0, const std::string& more = "") {
    std::string line =
        R"({"kind":"metric","time":)" + std::to_string(time) + ",\"step\":" + std::to_string(step) + more;
    return line + ",\"values\":{\"" + name + "\":" + std::to_string(value) + "}}\n";
}

using Pairs = std::vector<std::pair<std::int64_t, double>>;

Pairs pairs_of(const Series& series) {
    Pairs pairs;
    for (const auto& it : series.points) pairs.emplace_back(it.step, it.value);
    return pairs;
}

} // namespace

TEST_CASE("points stand in order of their step, whoever wrote them") {
    RunDirectory run;
    run.write(1, "a.1", point("loss", 3, 3, 30) + point("loss", 1, 1, 10) + point("loss", 9, 3, 50));
    run.write(1, "a.2", point("loss", 2, 2, 20) + point("loss", 7, 3, 40) + "{\"kind\":\"metric\",\"st");
    CHECK(pairs_of(run.only({})) == Pairs{{1, 1}, {2, 2}, {3, 3}, {3, 7}, {3, 9}});
}

TEST_CASE("a later attempt replaces an earlier one from its first step on") {
    RunDirectory run;
    run.write(1, "a.1", point("loss", 1, 1) + point("loss", 2, 2) + point("loss", 3, 3) + point("val", 5, 3));
    run.write(2, "a.2", point("loss", 20, 2) + point("loss", 30, 3) + point("loss", 40, 4));
    CHECK(pairs_of(run.only({{"loss"}, "0", {}})) == Pairs{{1, 1}, {2, 20}, {3, 30}, {4, 40}});
    CHECK(pairs_of(run.only({{"loss"}, "0", 1})) == Pairs{{1, 1}, {2, 2}, {3, 3}});
    CHECK(pairs_of(run.only({{"val"}, "0", {}})) == Pairs{{3, 5}});
}

TEST_CASE("an attempt that logs without steps is added to the earlier one") {
    RunDirectory run;
    const char* line = R"({"kind":"metric","time":%d,"values":{"loss":%d}})";
    auto at = [&](int time, int value) {
        char text[100];
        return std::string(text, std::size_t(std::snprintf(text, sizeof text, line, time, value))) + "\n";
    };
    run.write(1, "a.1", at(20, 2) + at(10, 1));
    run.write(2, "a.2", at(30, 3));
    CHECK(pairs_of(run.only({})) == Pairs{{kNoStep, 1}, {kNoStep, 2}, {kNoStep, 3}});
}

TEST_CASE("rank 0 and no rank are shown unless another one is asked for") {
    RunDirectory run;
    auto ranked = [](const char* name, int value, int rank) {
        return point(name, value, value, 0, ",\"rank\":" + std::to_string(rank));
    };
    run.write(1, "a.1",
              ranked("loss", 2, 1) + ranked("loss", 1, 0) + point("loss", 3, 3) + ranked("skew", 5, 3) +
                  ranked("skew", 4, 2));
    CHECK(pairs_of(run.only({{"loss"}, "0", {}})) == Pairs{{1, 1}, {3, 3}});
    CHECK(pairs_of(run.only({{"skew"}, "0", {}})) == Pairs{{4, 4}});
    CHECK(pairs_of(run.only({{"loss"}, "1", {}})) == Pairs{{2, 2}});
    CHECK(read_metrics(run.dir(), {{"loss"}, "7", {}}).series.empty());
    std::string labels;
    for (const auto& series : read_metrics(run.dir(), {{}, "all", {}}).series) labels += series.label + " ";
    CHECK(labels == "loss loss@0 loss@1 skew@2 skew@3 ");
}

TEST_CASE("names may be patterns, and keep their order") {
    RunDirectory run;
    run.write(1, "a.1", point("val/acc", 1, 1) + point("val/loss", 1, 1) + point("loss", 1, 1));
    const auto found = read_metrics(run.dir(), {{"loss", "val/*", "val/acc"}, "0", {}});
    std::string names;
    for (const auto& series : found.series) names += series.name + " ";
    CHECK(names == "loss val/acc val/loss ");
    CHECK(found.names == std::vector<std::string>{"loss", "val/acc", "val/loss"});
}

TEST_CASE("a file in several parts gives every whole line once") {
    RunDirectory run;
    std::string text;
    std::vector<std::string> lines;
    for (int i = 0; i < 500; ++i) {
        lines.push_back(std::string(std::size_t(i * 7 % 40), 'x') + std::to_string(i));
        text += lines.back() + (i % 11 == 0 ? "\n\n" : "\n");
    }
    run.write(1, "a.1", text + "half");
    const fs::path file = event_files(run.dir() / "attempts" / "1").at(0);
    const auto part = GENERATE(std::uint64_t(1), 2, 7, 64, 1000, 1 << 20);
    std::vector<std::string> found;
    for (std::uint64_t begin = 0; begin < text.size() + 4; begin += part)
        for_each_line(file, begin, begin + part, [&](std::string_view line) { found.emplace_back(line); });
    CHECK(found == lines);
}

TEST_CASE("a summary has NaN for the last value only") {
    const double nan = std::nan("");
    std::vector<Point> points;
    std::int64_t step = 0;
    for (double value : {nan, 3.0, 1.0, HUGE_VAL, 1.0, nan}) points.push_back({step++, 0, nan, value});
    const Summary summary = summary_of(points);
    CHECK(std::isnan(summary.last.value));
    CHECK(summary.last.step == 5);
    CHECK((summary.min.value == 1 && summary.min.step == 2));
    CHECK((std::isinf(summary.max.value) && summary.max.step == 3));
    CHECK(summary.count == 6);
}

TEST_CASE("series stand side by side, a row per step") {
    const double nan = std::nan("");
    std::vector<Series> series{{"a", "a", {{1, 10, nan, 0.1}, {2, 20, 1, 0.2}, {2, 21, 1, 0.3}}},
                               {"b", "b", {{2, 22, nan, 5}, {3, nan, 2, 6}}},
                               {"c", "c", {{kNoStep, 5, nan, 7}, {kNoStep, 5, nan, 8}, {kNoStep, nan, nan, 9}}},
                               {"d", "d", {}}};
    const MetricRows rows(series);
    auto value = [&](std::size_t row, std::size_t column) {
        const Point* point = rows.point(row, column);
        return point == nullptr ? -1 : point->value;
    };
    REQUIRE(rows.size() == 6);
    CHECK((value(0, 0) == 0.1 && value(0, 1) == -1));
    CHECK((value(1, 0) == 0.3 && value(1, 1) == 5));
    CHECK((rows.row(1).step == 2 && rows.row(1).epoch == 1 && rows.row(1).time == 22));
    CHECK((value(2, 1) == 6 && rows.row(2).epoch == 2));
    CHECK((value(3, 2) == 7 && value(4, 2) == 8 && value(5, 2) == 9));
}

TEST_CASE("numbers and texts are written as CSV and JSON want them") {
    auto number = [](double value) {
        std::string csv, json;
        append_number(csv, value);
        append_json_number(json, value);
        return csv + " " + json;
    };
    CHECK(number(0.1) == "0.1 0.1");
    CHECK(number(3) == "3 3");
    CHECK(number(std::nan("")) == "nan \"NaN\"");
    CHECK(number(HUGE_VAL) == "inf \"Infinity\"");
    CHECK(number(-HUGE_VAL) == "-inf \"-Infinity\"");
    auto [text, quoted] = GENERATE(table<std::string, std::string>(
        {{"loss", "loss"}, {"a,b", "\"a,b\""}, {"say \"x\"", "\"say \"\"x\"\"\""}, {"two\nlines", "\"two\nlines\""}}));
    std::string csv;
    append_csv(csv, text);
    CHECK(csv == quoted);
}

TEST_CASE("numbers for people have six digits") {
    std::string text;
    for (double value : {0.1, 3.0, 0.0, -2.5, 0.123456789, 0.000123456789, 99999.96, 99999.94, 123456.7, 1e-5,
                         12.0000001, 9.9999996, 0.99999996, 0.00099999996, 1764075000.5}) {
        CHECK(short_number(value) == fmt::format("{:.6g}", value));
        CHECK(short_number(-value) == fmt::format("{:.6g}", -value));
    }
    for (double value = 1.0001e-4; value < 2e5; value *= 1.0137)
        CHECK(short_number(value) == fmt::format("{:.6g}", value));
    CHECK(short_number(std::nan("")) == "nan");
    CHECK(short_number(-HUGE_VAL) == "-inf");
}

TEST_CASE("a file takes its name when it is complete") {
    RunDirectory place;
    const fs::path file = place.dir() / "out.csv";
    replace_file(file, "old");
    {
        OutputFile out(file);
        out.write("half");
    }
    CHECK(read_file(file) == "old");
    OutputFile out(file);
    out.write("new");
    CHECK(read_file(file) == "old");
    out.finish();
    CHECK(read_file(file) == "new");
    CHECK(std::distance(fs::directory_iterator(place.dir()), {}) == 1);
}
