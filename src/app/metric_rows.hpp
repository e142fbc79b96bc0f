#pragma once
// Several series side by side: a row per step. Points without a step make a row where their time is the same.

#include <cstddef>
#include <vector>

#include "series.hpp"

namespace poster {

class MetricRows {
public:
    // Of several points of a series at one step, the last one counts.
    explicit MetricRows(const std::vector<Series>& series);

    struct Row {
        std::int64_t step = kNoStep;
        double epoch = 0, time = 0; // of its last point that tells one; NaN: none does
    };
    std::size_t size() const { return rows_.size(); }
    const Row& row(std::size_t number) const { return rows_[number]; }
    // nullptr: this series has no point in this row.
    const Point* point(std::size_t row, std::size_t series) const;

private:
    bool take_row(std::vector<std::size_t>& next); // false: there is none left

    static constexpr std::uint32_t kNone = 0xffffffff;
    const std::vector<Series>& series_;
    std::vector<Row> rows_;
    std::vector<std::uint32_t> points_; // of each row, for each series, which point
};

} // namespace poster
