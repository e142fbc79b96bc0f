#include "metric_patterns.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <re2/re2.h>

#include "error.hpp"

namespace poster {

namespace {

constexpr std::int64_t kMemory = 8L << 20; // of one compiled pattern, in bytes

re2::RE2::Options options() {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMemory);
    return options;
}

re2::StringPiece piece(std::string_view text) {
    return {text.data(), text.size()};
}

void note(const std::string& name, double value, PrintedLine& line) {
    if (name == "epoch") {
        if (std::isfinite(value)) line.epoch = value;
    } else if (name == "step") {
        if (value == std::floor(value) && std::abs(value) < 1e15) line.step = std::int64_t(value);
    } else {
        line.values.emplace_back(name, value);
    }
}

} // namespace

struct MetricPatterns::Pattern {
    explicit Pattern(const std::string& text) : expression(piece(text), options()) {
        if (!expression.ok())
            throw UsageError(fmt::format("the pattern '{}' is no regular expression: {}", text, expression.error()),
                             "the syntax is that of RE2: (?P<loss>[0-9.]+), no look-around, no references back");
        for (const auto& [index, name] : expression.CapturingGroupNames()) groups.emplace(index, name);
        const bool any = std::any_of(groups.begin(), groups.end(), [](const auto& group) {
            return group.second != "step" && group.second != "epoch";
        });
        if (!any)
            throw UsageError(fmt::format("the pattern '{}' names no metric", text),
                             "name a group for each metric: loss is (?P<loss>[0-9.]+)");
        found.resize(std::size_t(expression.NumberOfCapturingGroups()) + 1);
    }

    re2::RE2 expression;
    std::map<int, std::string> groups; // by number: those with a name
    std::vector<re2::StringPiece> found;
};

MetricPatterns::MetricPatterns(const std::vector<std::string>& patterns) {
    for (const auto& pattern : patterns) patterns_.push_back(std::make_unique<Pattern>(pattern));
}
MetricPatterns::~MetricPatterns() = default;
MetricPatterns::MetricPatterns(MetricPatterns&&) noexcept = default;
MetricPatterns& MetricPatterns::operator=(MetricPatterns&&) noexcept = default;

bool MetricPatterns::read(std::string_view text, PrintedLine& line) const {
    bool any = false;
    for (const auto& pattern : patterns_) {
        auto& found = pattern->found;
        if (!pattern->expression.Match(piece(text), 0, text.size(), re2::RE2::UNANCHORED, found.data(),
                                       int(found.size())))
            continue;
        any = true;
        for (const auto& [index, name] : pattern->groups) {
            const auto& group = found[std::size_t(index)];
            double value = 0;
            if (group.data() != nullptr && parse_printed_number({group.data(), group.size()}, value))
                note(name, value, line);
        }
    }
    return any;
}

} // namespace poster
