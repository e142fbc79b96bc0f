#include "figure.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace poster {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr double kLargest = 1e300; // so that the size of a range is a number

double height_of(double y, bool logarithmic) {
    if (!logarithmic) return y;
    return y > 0 ? std::log10(y) : std::numeric_limits<double>::quiet_NaN();
}

// A range of no width, as of a constant, is widened, so that there is an axis.
Range sane(Range range) {
    if (!(range.low <= range.high)) return {0, 1};
    if (range.low < range.high) return {std::max(range.low, -kLargest), std::min(range.high, kLargest)};
    const double margin = range.low == 0 ? 1 : std::abs(range.low) / 10;
    return {range.low - margin, range.high + margin};
}

// Collects the points of one column.
class Column {
public:
    explicit Column(Polyline& line) : line_(line) {}

    void add(std::int64_t column, Vertex point) {
        if (count_ > 0 && column != column_) flush();
        if (count_ == 0) {
            first_ = lowest_ = highest_ = point;
            lowest_at_ = highest_at_ = 0;
        }
        if (point.y < lowest_.y) lowest_ = point, lowest_at_ = count_;
        if (point.y > highest_.y) highest_ = point, highest_at_ = count_;
        last_ = point;
        column_ = column;
        ++count_;
    }
    void flush() {
        if (count_ == 0) return;
        const bool low_first = lowest_at_ <= highest_at_;
        line_.push_back(first_);
        for (const Vertex& point : {low_first ? lowest_ : highest_, low_first ? highest_ : lowest_, last_})
            if (point.x != line_.back().x || point.y != line_.back().y) line_.push_back(point);
        count_ = 0;
    }

private:
    Polyline& line_;
    std::int64_t column_ = 0;
    std::size_t count_ = 0, lowest_at_ = 0, highest_at_ = 0;
    Vertex first_, lowest_, highest_, last_;
};

} // namespace

Range x_range(const Figure& figure) {
    Range range{kInfinity, -kInfinity};
    for (const auto& curve : figure.curves) {
        for (double x : curve.x) {
            if (!std::isfinite(x)) continue;
            range.low = std::min(range.low, x);
            range.high = std::max(range.high, x);
        }
    }
    return sane(range);
}

Range y_range(const Figure& figure) {
    Range range{kInfinity, -kInfinity};
    for (const auto& curve : figure.curves) {
        for (double value : curve.raw.empty() ? curve.y : curve.raw) {
            if (!std::isfinite(value) || (figure.logarithmic && value <= 0)) continue;
            range.low = std::min(range.low, value);
            range.high = std::max(range.high, value);
        }
    }
    if (figure.logarithmic && range.low <= range.high) range = {std::log10(range.low), std::log10(range.high)};
    return sane(range);
}

std::vector<double> smoothed(const std::vector<double>& values, double factor) {
    std::vector<double> out;
    out.reserve(values.size());
    double average = 0, weight = 1; // weight: what the start, zero, still has
    for (double value : values) {
        if (!std::isfinite(value)) {
            out.push_back(value);
            continue;
        }
        average = factor * average + (1 - factor) * value;
        weight *= factor;
        out.push_back(average / (1 - weight));
    }
    return out;
}

std::vector<Polyline> reduced(const std::vector<double>& x, const std::vector<double>& y, Range across, Range up,
                              std::size_t columns, bool logarithmic) {
    std::vector<Polyline> lines;
    Polyline line;
    Column column(line);
    auto end_line = [&] {
        column.flush();
        if (!line.empty()) lines.push_back(std::move(line));
        line.clear();
    };
    const double scale = double(columns) / across.size();
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (!std::isfinite(x[i])) continue;
        const double height = height_of(y[i], logarithmic);
        if (!std::isfinite(height)) {
            end_line();
            continue;
        }
        const Vertex point{(x[i] - across.low) * scale, std::clamp((height - up.low) / up.size(), 0., 1.)};
        column.add(std::int64_t(std::floor(point.x)), point);
    }
    end_line();
    return lines;
}

} // namespace poster
