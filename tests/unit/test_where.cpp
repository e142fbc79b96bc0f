#include <catch2/catch.hpp>

#include <map>
#include <random>

#include <fmt/format.h>

#include "clock.hpp"
#include "error.hpp"
#include "where.hpp"

using namespace poster;

namespace {

const std::map<std::string, std::vector<Value>> kRun{
    {"status", {std::string("finished")}},
    {"name", {std::string("base-1")}},
    {"duration", {5400.0}},
    {"started", {double(parse_iso8601("2026-11-20T12:00:00Z")->time_since_epoch().count()) / 1000}},
    {"exit_code", {0.0}},
    {"tags", {std::string("night"), std::string("cifar")}},
    {"note", {Value{}}},
    {"config.lr", {0.1}},
    {"config.amp", {true}},
    {"config.version", {std::string("1.10")}},
    {"config.nothing", {Value{}}},
    {"config.size", {std::string("512")}},
    {"metrics.loss", {0.25}},
    {"metrics.val loss.min", {0.125}},
    {"metrics.bad", {std::string("NaN")}},
};

std::vector<Value> of_run(const std::string& name) {
    const auto found = kRun.find(name);
    return found == kRun.end() ? std::vector{Value{}} : found->second;
}

bool holds(const std::string& expression) {
    return Where::parse(expression).holds(of_run);
}

std::string refusal(const std::string& expression) {
    try {
        Where::parse(expression);
    } catch (const UsageError& error) {
        return error.what() + std::string(error.help().empty() ? "" : "\n") + error.help();
    }
    return "";
}

} // namespace

TEST_CASE("an expression holds for a run or does not") {
    auto [expression, expected] = GENERATE(table<std::string, bool>({
        {"config.lr = 0.1", true},
        {"config.lr == 1e-1", true},
        {"config.lr=0.1", true},
        {"config.lr != 0.1", false},
        {"config.lr <> 0.2", true},
        {"config.lr < 0.2", true},
        {"config.lr <= 0.1", true},
        {"config.lr > 0.1", false},
        {"config.lr >= .1", true},
        {"0.05 < config.lr", true},
        {"config.lr > -1", true},
        {"config.lr < metrics.loss", true},
        {"status = finished", true},
        {"status != finished", false},
        {"status = 'finished'", true},
        {"status in (failed, finished)", true},
        {"status not in (failed, finished)", false},
        {"status in (failed)", false},
        {"config.lr in (0.1, 0.2)", true},
        {"night in tags", true},
        {"day in tags", false},
        {"'night' in tags", true},
        {"day not in tags", true},
        {"tags = cifar", true},
        {"tags != cifar", false},
        {"tags != day", true},
        {"tags like 'ci*'", true},
        {"name like base*", true},
        {"name like 'base'", false},
        {"name like 'base-[0-9]'", true},
        {"name =~ '^b.*-[0-9]+$'", true},
        {"name =~ ase", true},
        {"name =~ '^ase'", false},
        {"duration > 1h", true},
        {"duration < 1h30m", false},
        {"duration = 5400", true},
        {"duration <= 1h30m", true},
        {"started > 2026-11-01", true},
        {"started < 2026-11-01", false},
        {"started > '2026-11-20T11:59:59Z'", true},
        {"exit_code = 0", true},
        {"exit_code", false},
        {"config.amp", true},
        {"not config.amp", false},
        {"config.amp = true", true},
        {"config.amp = True", true},
        {"config.amp != false", true},
        {"config.amp = 1", true},
        {"config.version = 1.10", true},
        {"config.version = 1.1", true},
        {"config.version = '1.1'", false},
        {"config.size > 100", true},
        {"config.size = 512", true},
        {"config.size < abc", true},
        {"metrics.\"val loss\".min < 0.2", true},
        {"metrics.'val loss'.min < 0.1", false},
        {"metrics.bad = NaN", true},
        {"metrics.bad > 0", false},
        {"metrics.bad < 0", false},
        // what is missing
        {"config.none = 1", false},
        {"config.none != 1", false},
        {"not config.none = 1", true},
        {"config.none", false},
        {"config.none = null", true},
        {"config.none != null", false},
        {"config.nothing = none", true},
        {"config.lr = null", false},
        {"config.lr != null", true},
        {"config.none in (1, null)", true},
        {"note = null", true},
        {"config.none < config.lr", false},
        // how it is joined
        {"config.lr = 0.1 and status = failed", false},
        {"config.lr = 0.1 && status = finished", true},
        {"config.lr = 0.2 or status = finished", true},
        {"config.lr = 0.2 || status = failed", false},
        {"config.lr = 0.1 or status = failed and exit_code = 1", true},
        {"(config.lr = 0.1 or status = failed) and exit_code = 1", false},
        {"not (status = failed or status = killed)", true},
        {"!(status = finished)", false},
        {"not not status = finished", true},
        {"NOT status = failed AND config.lr = 0.1", true},
    }));
    INFO(expression);
    CHECK(holds(expression) == expected);
}

TEST_CASE("a bad expression is refused with its place") {
    auto [expression, message] = GENERATE(table<std::string, std::string>({
        {"", "--where: the expression is empty\n  \n  ^"},
        {"config.lr >", "--where: a name or a value is missing here\n  config.lr >\n             ^"},
        {"(config.lr > 1", "--where: this '(' is not closed\n  (config.lr > 1\n  ^"},
        {"config.lr > 1)", "--where: ')' is not expected here\n  config.lr > 1)\n               ^"},
        {"config.lr > 1 status = failed", "--where: 'status' is not expected here"},
        {"lr > 1", "--where: 'lr' is not a name to ask for\n  lr > 1\n  ^\ndid you mean config.lr"},
        {"stats = failed", "did you mean 'status'?"},
        {"status = finishd",
         "--where: 'finishd' is no status\n  status = finishd\n           ^\ndid you mean 'finished'?"},
        {"duration > soon", "'soon' is no duration"},
        {"started > someday", "'someday' is no time"},
        {"name = 'open", "--where: this quote is not closed\n  name = 'open\n         ^"},
        {"name =~ '['", "this is no regular expression"},
        {"name like config.lr", "a pattern is wanted here, not a name"},
        {"status in ()", "the list is empty"},
        {"status in (failed", "this '(' is not closed"},
        {"config.lr > 1 and", "a name or a value is missing here"},
        {"0.1", "'0.1' is compared with nothing"},
        {"config. > 1", "'config.' is not a name to ask for"},
        {std::string(1000, '('), "nested too deeply"},
    }));
    INFO(expression);
    CHECK_THAT(refusal(expression), Catch::Contains(message));
}

TEST_CASE("an expression tells the names that it asks for, each once") {
    CHECK(Where::parse("config.lr > 1 and (status = failed or config.lr < metrics.loss.min)").names() ==
          std::vector<std::string>{"config.lr", "status", "metrics.loss.min"});
}

namespace {

// A random expression over config.a … config.d, with what it is by the meaning of its words.
struct Generated {
    std::string text;
    bool holds;
};

class Generator {
public:
    std::map<std::string, std::optional<double>> run;

    Generated expression(int depth) {
        if (depth == 0 || below(4) == 0) return comparison();
        Generated left = expression(depth - 1);
        if (below(4) == 0) return {"not (" + left.text + ")", !left.holds};
        Generated right = expression(depth - 1);
        if (below(2) == 0) return {"(" + left.text + " and " + right.text + ")", left.holds && right.holds};
        return {"(" + left.text + " or " + right.text + ")", left.holds || right.holds};
    }

    int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }

private:
    Generated comparison() {
        const std::string name = "config." + std::string(1, char('a' + below(4)));
        const auto value = run.at(name);
        const double other = below(5);
        switch (below(7)) {
        case 0: return {fmt::format("{} < {}", name, other), value && *value < other};
        case 1: return {fmt::format("{} <= {}", name, other), value && *value <= other};
        case 2: return {fmt::format("{}>{}", name, other), value && *value > other};
        case 3: return {fmt::format("{} >= {}", name, other), value && *value >= other};
        case 4: return {fmt::format("{} == {}", name, other), value && *value == other};
        case 5:
            return {fmt::format("{} in ({}, {})", name, other, other + 1),
                    value && (*value == other || *value == other + 1)};
        default: return {fmt::format("{} != {}", name, other), value && *value != other};
        }
    }

    std::mt19937 random_{7};
};

} // namespace

TEST_CASE("a generated expression holds as its words mean") {
    Generator generator;
    for (int i = 0; i < 3000; ++i) {
        for (const char* name : {"config.a", "config.b", "config.c", "config.d"})
            generator.run[name] = generator.below(4) == 0 ? std::nullopt : std::optional<double>(generator.below(5));
        const auto [text, expected] = generator.expression(4);
        INFO(text);
        const Lookup lookup = [&](const std::string& name) {
            const auto value = generator.run.at(name);
            return std::vector{value ? Value{*value} : Value{}};
        };
        REQUIRE(Where::parse(text).holds(lookup) == expected);
    }
}

TEST_CASE("a condition of metrics holds for their values or does not") {
    const std::map<std::string, Value> values{{"val_loss", 12.5}, {"loss", std::string("nan")},
                                              {"val/acc", 0.9},   {"train loss", 1.0},
                                              {"epoch", 4.0},     {"huge", INFINITY}};
    const auto lookup = [&](const std::string& name) {
        const auto found = values.find(name);
        return std::vector{found == values.end() ? Value{} : found->second};
    };
    auto [expression, expected] = GENERATE(table<std::string, bool>({
        {"val_loss > 10", true},
        {"val_loss > 12.5", false},
        {"val_loss>10 and epoch >= 4", true},
        {"val_loss > 10 and epoch > 4", false},
        {"loss = nan", true},
        {"loss = NaN", true},
        {"val_loss = nan", false},
        {"loss != nan", false},
        {"loss > 10", false},
        {"huge = inf", true},
        {"val_loss > 'train loss'", true},
        {"'train loss' = 1", true},
        {"val/acc < val_loss", true},
        {"unknown > 1", false},
        {"not unknown > 1", true},
        {"unknown = null", true},
    }));
    INFO(expression);
    CHECK(Where::parse(expression, Vocabulary::metrics).holds(lookup) == expected);
}

TEST_CASE("a condition of metrics that cannot be meant is refused at its place") {
    auto [expression, why] = GENERATE(table<std::string, std::string>({
        {"", "the expression is empty\n  \n  ^"},
        {"val_loss >", "a name or a value is missing here\n  val_loss >\n            ^"},
        {"val_loss => 3", "a name or a value is missing here"},
        {"val_loss > 3 acc", "'acc' is not expected here"},
        {"(val_loss > 3", "this '(' is not closed"},
    }));
    INFO(expression);
    try {
        Where::parse(expression, Vocabulary::metrics);
        FAIL("it is taken");
    } catch (const UsageError& error) {
        CHECK(std::string(error.what()).starts_with(why));
    }
}
