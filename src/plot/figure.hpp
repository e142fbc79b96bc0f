#pragma once
// What a plot shows, free of how it is drawn: curves, their axes, and the reduction of many points to few.

#include <cstddef>
#include <string>
#include <vector>

namespace poster {

enum class Axis {
    number,
    whole,
    clock,
    duration
}; // whole: numbers, marked at whole ones; clock: seconds since 1970; duration: seconds

struct Curve {
    std::string label;
    std::vector<double> x, y; // in order of x; a y that is not finite is a gap
    std::vector<double> raw;  // before smoothing; empty: it is not smoothed
};

struct Figure {
    std::vector<Curve> curves;
    std::string x_label, y_label;
    Axis x_axis = Axis::number;
    bool logarithmic = false; // values; those that are not positive are gaps
};

struct Range {
    double low = 0, high = 1;
    double size() const { return high - low; }
};

// Of what can be drawn; never empty. Values come as logarithms to the base 10 where the figure is logarithmic.
Range x_range(const Figure& figure);
Range y_range(const Figure& figure);

// The exponential moving average with its start corrected; `factor` from 0 (none) to below 1. Gaps stay gaps.
std::vector<double> smoothed(const std::vector<double>& values, double factor);

struct Vertex {
    double x = 0, y = 0;
};
using Polyline = std::vector<Vertex>;

// Points of a curve in units of the canvas: x from 0 to `columns`, y from 0 (low) to 1. Where several fall into one
// column, its first, smallest, largest and last remain, so that no spike is lost. A gap begins a new line; a lone point
// is a line of one.
std::vector<Polyline> reduced(const std::vector<double>& x, const std::vector<double>& y, Range across, Range up,
                              std::size_t columns, bool logarithmic);

} // namespace poster
