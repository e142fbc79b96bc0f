#pragma once
// Metric lines of the event log (docs/events.md), read at millions a second: no allocation for the spelling of poster's
// clients, any other legal one through a JSON parser.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poster {

struct MetricValue {
    std::string_view name;
    double value = 0; // may be NaN or infinite
};

struct MetricLine {
    std::optional<double> time; // seconds since 1970
    std::optional<std::int64_t> step;
    std::optional<double> epoch;
    std::optional<std::int64_t> rank;
    std::vector<MetricValue> values; // as in the line; what is no number is left out
};

class MetricLineParser {
public:
    // `line` is without its newline. nullptr: no metric line. What is pointed to is good until the next call, its names
    // as long as `line` too.
    const MetricLine* parse(std::string_view line);
    // The same by the JSON parser alone.
    const MetricLine* parse_slowly(std::string_view line);

private:
    MetricLine parsed_;
    std::deque<std::string> names_; // of a line whose names are not what stands in it
};

} // namespace poster
