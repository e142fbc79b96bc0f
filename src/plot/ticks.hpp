#pragma once
// Where an axis has its marks, and how they are written.

#include <string>
#include <vector>

#include "figure.hpp"

namespace poster {

struct Tick {
    double at = 0; // in the units of the range
    std::string label;
};

// At most about `most` marks at round numbers within the range, `least` or more apart.
std::vector<Tick> number_ticks(Range range, std::size_t most, double least = 0);
// The range holds logarithms to the base 10.
std::vector<Tick> logarithmic_ticks(Range range, std::size_t most);
// Seconds, marked at round minutes, hours …: "30s", "5m", "1h30m".
std::vector<Tick> duration_ticks(Range range, std::size_t most);
// Seconds since 1970, at round times of this machine's clock: "14:05", or the date at midnight.
std::vector<Tick> clock_ticks(Range range, std::size_t most);
std::vector<Tick> ticks_of(Axis axis, Range range, std::size_t most);

} // namespace poster
