#include <catch2/catch.hpp>

#include <cmath>
#include <random>

#include <nlohmann/json.hpp>

#include "metric_line.hpp"

using namespace poster;

namespace {

using Values = std::vector<std::pair<std::string, double>>;

const double kNaN = std::nan("");
const double kInfinity = HUGE_VAL;

bool same(double a, double b) {
    return a == b || (std::isnan(a) && std::isnan(b));
}

Values values_of(const MetricLine& line) {
    Values values;
    for (const auto& [name, value] : line.values) values.emplace_back(name, value);
    return values;
}

bool same(const Values& a, const Values& b) {
    auto equal = [](const auto& x, const auto& y) { return x.first == y.first && same(x.second, y.second); };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

// All that the parser read, in words: for comparison and for the message of a failing test.
std::string in_words(const MetricLine* line) {
    if (line == nullptr) return "no metric line";
    auto word = [](const auto& value) { return value ? nlohmann::json(*value + 0).dump() : "-"; };
    std::string words = word(line->time) + " " + word(line->step) + " " + word(line->epoch) + " " + word(line->rank);
    for (const auto& [name, value] : line->values)
        words += " " + std::string(name) + "=" +
                 (std::isfinite(value) ? nlohmann::json(value + 0).dump() : std::to_string(value));
    return words;
}

class Generator {
public:
    std::string line() {
        std::string text = R"({"kind":"metric")";
        if (chance(0.9)) text += R"(,"time":)" + number();
        if (chance(0.9)) text += R"(,"step":)" + (chance(0.9) ? std::to_string(below(1000000)) : number());
        if (chance(0.3)) text += R"(,"epoch":)" + number();
        if (chance(0.3)) text += R"(,"rank":)" + std::to_string(below(64));
        text += R"(,"values":{)";
        for (std::size_t i = 0, count = below(5); i < count; ++i)
            text += (i > 0 ? R"(,"m)" : R"("m)") + std::to_string(i) + name() + "\":" + number();
        text += "}}";
        if (chance(0.1)) text.insert(below(text.size() + 1), one_of({" ", ",", "x", "\"", "}", "\\", "0", "-", "."}));
        if (chance(0.1)) text.erase(below(text.size()), 1);
        return text;
    }

private:
    bool chance(double share) { return std::bernoulli_distribution(share)(random_); }
    std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_); }
    std::string one_of(std::vector<std::string> words) { return words[below(words.size())]; }

    std::string name() {
        return one_of({"", "loss", "val/acc", "a b", "gr\xC3\xBC\xC3\x9F", "\\u00e9", "\\\"q\\\"", "\\n", "{}"});
    }

    std::string number() {
        switch (below(6)) {
        case 0: return std::to_string(below(100000));
        case 1: return nlohmann::json(std::normal_distribution<double>()(random_)).dump();
        case 2: return nlohmann::json(std::exp(std::uniform_real_distribution<double>(-700, 700)(random_))).dump();
        case 3: return "-" + std::to_string(below(1000)) + "." + std::to_string(below(1000000));
        case 4: return "1764075000." + std::to_string(100000 + below(899999));
        default:
            return one_of({"NaN",
                           "-Infinity",
                           "Infinity",
                           "\"NaN\"",
                           "\"Infinity\"",
                           "\"-Infinity\"",
                           "0",
                           "-0",
                           "01",
                           "1.",
                           ".5",
                           "1e3",
                           "1E-7",
                           "1e",
                           "+1",
                           "1e400",
                           "1e-400",
                           "null",
                           "true",
                           "\"abc\"",
                           "[1]",
                           "{\"a\":2}",
                           "123456789012345678901234567890",
                           "9223372036854775808",
                           "0.1000000000000000055511151231257827",
                           "9007199254740993",
                           "9007199254740992.5",
                           "4.9e-324",
                           "10.0",
                           "10.5"});
        }
    }

    std::mt19937 random_{5};
};

} // namespace

TEST_CASE("a metric line has time, step, epoch, rank and values") {
    MetricLineParser parser;
    const auto* line = parser.parse(
        R"({"kind":"metric","time":1764075000.123456,"step":10,"epoch":1.5,"rank":3,"values":{"loss":0.3,"acc":-2e-3}})");
    REQUIRE(line != nullptr);
    CHECK(line->time == 1764075000.123456);
    CHECK(line->step == 10);
    CHECK(line->epoch == 1.5);
    CHECK(line->rank == 3);
    CHECK(values_of(*line) == Values{{"loss", 0.3}, {"acc", -0.002}});
}

TEST_CASE("a metric line is read in any legal spelling") {
    auto [text, values] = GENERATE(table<std::string, Values>({
        {R"({"kind":"metric","values":{"a":1}})", {{"a", 1}}},
        {R"({"kind":"metric","values":{}})", {}},
        {R"({ "kind" : "metric", "values" : { "a" : 1 , "b": 2.5 } })", {{"a", 1}, {"b", 2.5}}},
        {R"({"values":{"a":1},"kind":"metric"})", {{"a", 1}}},
        {R"({"kind":"m\u0065tric","values":{"a":1}})", {{"a", 1}}},
        {R"({"kind":"metric","values":{"a":NaN,"b":-Infinity,"c":Infinity}})",
         {{"a", kNaN}, {"b", -kInfinity}, {"c", kInfinity}}},
        {R"({"kind":"metric","values":{"a":"NaN","b":"-Infinity","c":"Infinity"}})",
         {{"a", kNaN}, {"b", -kInfinity}, {"c", kInfinity}}},
        {R"({"kind": "metric", "values":{"NaN":NaN, "x\"NaN":-Infinity}})", {{"NaN", kNaN}, {"x\"NaN", -kInfinity}}},
        {R"({"kind":"metric","values":{"a\n\u00e9":1}})", {{"a\n\xC3\xA9", 1}}},
        {"{\"kind\":\"metric\",\"values\":{\"\xC3\xA9\":1}}", {{"\xC3\xA9", 1}}},
        {R"({"kind":"metric","other":{"values":{"z":9}},"values":{"a":1}})", {{"a", 1}}},
        {R"({"kind":"metric","values":{"a":1,"text":"abc","none":null,"yes":true,"list":[1]}})", {{"a", 1}}},
    }));
    MetricLineParser parser;
    INFO(text);
    const auto* line = parser.parse(text);
    REQUIRE(line != nullptr);
    CHECK(same(values_of(*line), values));
}

TEST_CASE("what is no metric line is passed over") {
    const std::string text = GENERATE(values<std::string>({
        "",
        "{",
        "loss=1",
        R"({"kind":"message","text":"values"})",
        R"({"kind":"metrics","values":{"a":1}})",
        R"({"values":{"a":1}})",
        R"({"kind":"metric"})",
        R"({"kind":"metric","values":[1]})",
        R"({"kind":"metric","values":{"a":1})",
        R"({"kind":"metric","values":{"a":1}}})",
        R"({"kind":"metric","values":{"a":1},})",
        R"({"kind":"metric","values":{"a":01}})",
        R"({"kind":"metric","values":{"a":.5}})",
        R"({"kind":"metric","values":{"a":1.}})",
        R"({"kind":"metric","values":{"a":1,}})",
        R"([{"kind":"metric","values":{"a":1}}])",
    }));
    MetricLineParser parser;
    INFO(text);
    CHECK(parser.parse(text) == nullptr);
}

TEST_CASE("a time is seconds or an ISO 8601 text") {
    auto [time, seconds] = GENERATE(table<std::string, std::optional<double>>({
        {"1764075000", 1764075000.0},
        {"1764075000.5", 1764075000.5},
        {"\"2025-11-25T12:50:00.500Z\"", 1764075000.5},
        {"\"yesterday\"", std::nullopt},
        {"NaN", std::nullopt},
        {"null", std::nullopt},
    }));
    MetricLineParser parser;
    INFO(time);
    const auto* line = parser.parse(R"({"kind":"metric","time":)" + time + R"(,"values":{"a":1}})");
    REQUIRE(line != nullptr);
    CHECK(line->time == seconds);
}

TEST_CASE("a step is a whole number") {
    auto [text, step] = GENERATE(table<std::string, std::optional<std::int64_t>>({
        {"0", 0},
        {"-3", -3},
        {"10.0", 10},
        {"1e3", 1000},
        {"10.5", std::nullopt},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", std::nullopt},
        {"\"10\"", std::nullopt},
        {"null", std::nullopt},
    }));
    MetricLineParser parser;
    INFO(text);
    const auto* line = parser.parse(R"({"kind":"metric","step":)" + text + R"(,"values":{"a":1}})");
    REQUIRE(line != nullptr);
    CHECK(line->step == step);
}

TEST_CASE("a generated line is read as the JSON parser reads it") {
    Generator generator;
    MetricLineParser fast, slow;
    int metric_lines = 0;
    for (int i = 0; i < 20000; ++i) {
        const std::string text = generator.line();
        const auto* line = fast.parse(text);
        metric_lines += line != nullptr ? 1 : 0;
        INFO(text);
        REQUIRE(in_words(line) == in_words(slow.parse_slowly(text)));
    }
    CHECK(metric_lines > 10000);
}
