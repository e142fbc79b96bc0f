#pragma once
// The user's own patterns for printed metrics: regular expressions whose named groups are metrics, "step" and "epoch"
// apart. RE2: linear in time, whatever the pattern; (?P<name>…), no look-around, no references back.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "printed_line.hpp"

namespace poster {

class MetricPatterns {
public:
    // Throws UsageError for one that is no regular expression, or names no metric.
    explicit MetricPatterns(const std::vector<std::string>& patterns);
    ~MetricPatterns();
    MetricPatterns(MetricPatterns&&) noexcept;
    MetricPatterns& operator=(MetricPatterns&&) noexcept;

    // What the groups of all patterns that match say; false where none does.
    bool read(std::string_view text, PrintedLine& line) const;

private:
    struct Pattern;
    std::vector<std::unique_ptr<Pattern>> patterns_;
};

} // namespace poster
