#include "metric_rows.hpp"

#include <algorithm>
#include <cmath>

namespace poster {

namespace {

bool before(const Point& a, const Point& b) {
    if ((a.step == kNoStep) != (b.step == kNoStep)) return b.step == kNoStep;
    if (a.step != kNoStep) return a.step < b.step;
    return a.time < b.time; // unknown times: at once
}

bool together(const Point& a, const Point& b) {
    return a.step == b.step && (a.step != kNoStep || a.time == b.time);
}

} // namespace

MetricRows::MetricRows(const std::vector<Series>& series) : series_(series) {
    std::size_t longest = 0;
    for (const auto& it : series) longest = std::max(longest, it.points.size());
    rows_.reserve(longest);
    points_.reserve(longest * series.size());
    std::vector<std::size_t> next(series.size(), 0);
    while (take_row(next)) {
    }
}

bool MetricRows::take_row(std::vector<std::size_t>& next) {
    const Point* first = nullptr;
    for (std::size_t i = 0; i < next.size(); ++i) {
        if (next[i] == series_[i].points.size()) continue;
        const Point& point = series_[i].points[next[i]];
        if (first == nullptr || before(point, *first)) first = &point;
    }
    if (first == nullptr) return false;
    Row row{first->step, first->epoch, first->time};
    for (std::size_t i = 0; i < next.size(); ++i) {
        const auto& points = series_[i].points;
        std::uint32_t chosen = kNone;
        const bool steps = first->step != kNoStep; // without a step, several points are several rows
        while (next[i] < points.size() && together(points[next[i]], *first) && (steps || chosen == kNone))
            chosen = std::uint32_t(next[i]++);
        // A time that is not known is not the same as itself.
        if (chosen == kNone && next[i] < points.size() && &points[next[i]] == first) chosen = std::uint32_t(next[i]++);
        points_.push_back(chosen);
        if (chosen == kNone) continue;
        if (!std::isnan(points[chosen].epoch)) row.epoch = points[chosen].epoch;
        if (!std::isnan(points[chosen].time)) row.time = points[chosen].time;
    }
    rows_.push_back(row);
    return true;
}

const Point* MetricRows::point(std::size_t row, std::size_t series) const {
    const std::uint32_t chosen = points_[row * series_.size() + series];
    return chosen == kNone ? nullptr : &series_[series].points[chosen];
}

} // namespace poster
