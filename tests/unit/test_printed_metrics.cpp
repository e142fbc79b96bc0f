#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>
#include <printed_metrics.hpp>
#include <text.hpp>

using namespace poster;

namespace {

std::string describe(const PrintedPoint& point) {
    std::string text;
    if (point.step) text += fmt::format("step={} ", *point.step);
    if (point.epoch) text += fmt::format("epoch={} ", *point.epoch);
    for (const auto& [name, value] : point.values) text += fmt::format("{}={} ", name, value);
    if (!text.empty()) text.pop_back();
    return text;
}

using Pieces = std::vector<std::size_t>;

// Each piece of the bytes is fed by itself; what is left comes in one.
std::vector<std::string> points_of(std::string_view bytes, const Pieces& pieces = {},
                                   const std::vector<std::string>& patterns = {}) {
    std::vector<std::string> points;
    PrintedMetrics metrics(std::make_shared<MetricPatterns>(patterns),
                           [&](const PrintedPoint& point) { points.push_back(describe(point)); });
    for (const std::size_t length : pieces) {
        metrics.feed(bytes.substr(0, length), 0);
        bytes.remove_prefix(std::min(length, bytes.size()));
    }
    metrics.feed(bytes, 0);
    metrics.finish();
    return points;
}

std::vector<fs::path> corpus() {
    std::vector<fs::path> logs;
    for (const auto& entry : fs::directory_iterator(PRINTED_CORPUS))
        if (entry.path().extension() == ".log") logs.push_back(entry.path());
    std::sort(logs.begin(), logs.end());
    return logs;
}

std::string repeated(std::string_view text, std::size_t bytes) {
    std::string all;
    while (all.size() < bytes) all += text;
    return all;
}

} // namespace

TEST_CASE("the logs of the frameworks give the points beside them") {
    REQUIRE(corpus().size() > 15);
    for (const auto& log : corpus()) {
        INFO(log.filename());
        fs::path expected = log;
        expected.replace_extension(".points");
        CHECK(points_of(read_file(log).value()) == split(read_file(expected).value(), '\n'));
    }
}

TEST_CASE("a line gives its metrics, and a line that only looks like it none") {
    std::ifstream file(fs::path(PRINTED_CORPUS) / "lines.txt");
    std::vector<std::pair<std::string, std::string>> cases;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("=> "))
            cases.back().second = line.substr(3);
        else
            cases.emplace_back(line, "");
    }
    REQUIRE(cases.size() > 25);
    for (const auto& [line, expected] : cases) {
        INFO(line);
        const auto points = points_of(line + "\n");
        CHECK((points.empty() ? "" : points.front()) == expected);
        CHECK(points.size() <= 1);
    }
}

TEST_CASE("each line of the log without metrics gives nothing by itself") {
    for (const auto& line : split(read_file(fs::path(PRINTED_CORPUS) / "nothing.log").value(), '\n')) {
        INFO(line);
        CHECK(points_of(line) == std::vector<std::string>{});
    }
}

TEST_CASE("how the bytes are cut into pieces changes nothing") {
    std::mt19937 random(7);
    for (const auto& log : corpus()) {
        INFO(log.filename());
        const std::string bytes = read_file(log).value();
        const auto whole = points_of(bytes);
        CHECK(points_of(bytes, Pieces(bytes.size(), 1)) == whole);
        for (int round = 0; round < 5; ++round) {
            Pieces pieces(bytes.size() / 8 + 1);
            for (auto& piece : pieces) piece = random() % 17;
            CHECK(points_of(bytes, pieces) == whole);
        }
    }
}

TEST_CASE("a bar that is drawn a thousand times gives a hundred points and its last state") {
    std::string bytes;
    for (int i = 0; i <= 1005; ++i)
        bytes += fmt::format("\rtrain: {:3d}%|## | {}/1005 [00:01<00:01, 9.5it/s, loss={}]", i / 11, i, i * 2);
    const auto points = points_of(bytes + "\n");
    CHECK(points.size() > 80);
    CHECK(points.size() <= 101);
    CHECK(points.back() == "step=1005 train_loss=2010");
}

TEST_CASE("of a line written over another without a counter the last stays") {
    CHECK(points_of("loss: 0.5\rloss: 0.4\rloss: 0.3\n") == std::vector<std::string>{"loss=0.3"});
    CHECK(points_of("loss: 0.5\r\nloss: 0.4\r\n") == std::vector<std::string>{"loss=0.5", "loss=0.4"});
    CHECK(points_of("loss: 0.5") == std::vector<std::string>{"loss=0.5"});
}

TEST_CASE("patterns of the user name their metrics, step and epoch") {
    const std::vector<std::string> patterns{R"(^@(?P<step>\d+) E=(?P<energy>\S+))", R"(T (?P<temperature>[.\d]+) K)"};
    CHECK(points_of("@7 E=-1.5e3 at T 300.5 K, loss: 3.5\n", {}, patterns) ==
          std::vector<std::string>{"step=7 energy=-1500 temperature=300.5"});
    CHECK(points_of("@7 E=none\nloss: 0.5\n", {}, patterns) == std::vector<std::string>{"loss=0.5"});
    CHECK_THROWS_AS(MetricPatterns({"(?P<loss>["}), UsageError);
    CHECK_THROWS_AS(MetricPatterns({"loss (.*)"}), UsageError);
    CHECK_THROWS_AS(MetricPatterns({"(?P<step>[0-9]+)"}), UsageError);
}

TEST_CASE("hostile output takes linear time and little memory") {
    const std::vector<std::string> patterns{R"((a*)*(?P<x>b))"};
    const std::string unit = GENERATE(as<std::string>{}, "a1=", "1 ", "loss: ", "loss: 0.3 ", "{\"a\":", "\r", "\x1b[",
                                      "\x1b]", "|", "[===", "tensor(1,", "train ", "=", "epoch ", "aaaaaaaa", "'s ",
                                      "\xff", "| a/ | |\n", "{'a':[", "epoch loss acc\n", "1/9 - loss: 0.3\r");
    INFO(unit);
    const std::string bytes = repeated(unit, 4 << 20);
    const auto begin = std::chrono::steady_clock::now();
    points_of(bytes, {}, patterns);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    CHECK(took.count() < 10); // well under a second without sanitizers on an idle machine
}

TEST_CASE("bytes at random harm nothing") {
    std::mt19937 random(11);
    const std::string alphabet = "loss=:0.31 e\n\r\b\t\x1b[]{}()'\"|,/%-+epochstp\xe2\x94\x81";
    for (int round = 0; round < 300; ++round) {
        std::string bytes;
        for (int i = 0; i < 2000; ++i) bytes += alphabet[random() % alphabet.size()];
        CHECK(points_of(bytes, {7, 100, 3}) == points_of(bytes));
    }
}
