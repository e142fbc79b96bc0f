#include "ticks.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

#include <fmt/format.h>

namespace poster {

namespace {

constexpr double kMinute = 60, kHour = 3600, kDay = 86400;
constexpr std::size_t kMostMarks = 1000; // of an axis that is asked for nonsense

// The next of 1, 2, 5, 10, 20, 50 …
double round_step(double least) {
    const double power = std::pow(10, std::floor(std::log10(least)));
    for (double factor : {1.0, 2.0, 5.0})
        if (factor * power >= least * (1 - 1e-9)) return factor * power;
    return 10 * power;
}

std::vector<double> multiples(Range range, double step) {
    std::vector<double> found;
    const double slack = step * 1e-9;
    for (double n = std::ceil((range.low - slack) / step); n * step <= range.high + slack; ++n) {
        found.push_back(n * step + 0.0); // never -0
        if (found.size() >= kMostMarks) break;
    }
    return found;
}

// "1.5e-7"
std::string scientific(double value, int digits) {
    std::string text = fmt::format("{:.{}e}", value, digits);
    const std::size_t e = text.find('e');
    std::string exponent = text.substr(e + 2);
    exponent.erase(0, std::min(exponent.find_first_not_of('0'), exponent.size() - 1));
    return text.substr(0, e) + (text[e + 1] == '-' ? "e-" : "e") + exponent;
}

struct Unit {
    double size;
    const char* name;
};
constexpr std::array kThousands{Unit{1e12, "T"}, Unit{1e9, "G"}, Unit{1e6, "M"}, Unit{1e3, "k"}};

// All marks of an axis alike: as many decimals as the step wants.
std::string number_label(double value, double step, double largest) {
    auto decimals = [](double of) { return std::max(0, int(-std::floor(std::log10(of) + 1e-9))); };
    if (value == 0) return "0";
    if (largest >= 1e15 || (decimals(step) > 5 && largest < 1e-2))
        return scientific(value, std::max(0, int(std::floor(std::log10(std::abs(value)) + 1e-9) -
                                                 std::floor(std::log10(step) + 1e-9))));
    for (const auto& unit : kThousands)
        if (largest >= (unit.size == 1e3 ? 1e4 : unit.size))
            return fmt::format("{:.{}f}{}", value / unit.size, decimals(step / unit.size), unit.name);
    return fmt::format("{:.{}f}", value, decimals(step));
}

double time_step(double least) {
    for (double step : {1.,          2.,          5.,           10.,          15.,          30.,     kMinute,
                        2 * kMinute, 5 * kMinute, 10 * kMinute, 15 * kMinute, 30 * kMinute, kHour,   2 * kHour,
                        3 * kHour,   6 * kHour,   12 * kHour,   kDay,         2 * kDay,     7 * kDay})
        if (step >= least) return step;
    return kDay * std::ceil(round_step(least / kDay));
}

std::string duration_label(double seconds) {
    if (seconds == 0) return "0";
    if (seconds < 0) return "-" + duration_label(-seconds);
    const auto whole = std::int64_t(std::llround(seconds));
    std::string text;
    if (whole >= 86400) text += fmt::format("{}d", whole / 86400);
    if (whole % 86400 >= 3600) text += fmt::format("{}h", whole % 86400 / 3600);
    if (whole % 3600 >= 60) text += fmt::format("{}m", whole % 3600 / 60);
    if (whole % 60 > 0) text += fmt::format("{}s", whole % 60);
    return text;
}

std::string clock_label(double seconds, double step) {
    const auto time = std::time_t(std::llround(seconds));
    std::tm parts{};
    char text[32] = "";
    ::localtime_r(&time, &parts);
    const bool midnight = parts.tm_hour == 0 && parts.tm_min == 0 && parts.tm_sec == 0;
    const char* form = midnight ? "%b %e" : step < kMinute ? "%H:%M:%S" : "%H:%M";
    return std::strftime(text, sizeof text, form, &parts) > 0 ? text : "";
}

double least_step(Range range, std::size_t most) {
    return range.size() / double(std::max<std::size_t>(most, 1));
}

} // namespace

std::vector<Tick> number_ticks(Range range, std::size_t most, double least) {
    const double step = round_step(std::max(least, least_step(range, most)));
    const double largest = std::max(std::abs(range.low), std::abs(range.high));
    std::vector<Tick> ticks;
    for (double at : multiples(range, step)) ticks.push_back({at, number_label(at, step, largest)});
    return ticks;
}

std::vector<Tick> logarithmic_ticks(Range range, std::size_t most) {
    auto label = [](double at) {
        const double value = std::pow(10, at);
        if (value >= 1e-4 && value < 1e4) return fmt::format("{:.{}g}", value, 3);
        return scientific(value, 0);
    };
    std::vector<Tick> ticks;
    const double step = std::max(1., std::ceil(least_step(range, most)));
    for (double at : multiples(range, step)) ticks.push_back({at, label(at)});
    if (ticks.size() >= 3) return ticks;
    std::vector<Tick> finer;
    for (int decade = int(std::floor(range.low)); decade <= range.high; ++decade)
        for (double factor : {1., 2., 5.})
            if (double at = decade + std::log10(factor); at >= range.low - 1e-9 && at <= range.high + 1e-9)
                finer.push_back({at, label(at)});
    if (finer.size() >= 3 && finer.size() <= std::max<std::size_t>(most, 4)) return finer;
    if (finer.size() >= 3) return ticks.size() >= 2 ? ticks : finer;
    // Less than a decade: round numbers, though they do not stand at equal distances.
    finer.clear();
    for (const auto& tick :
         number_ticks({std::pow(10, range.low), std::pow(10, range.high)}, std::max<std::size_t>(most / 2, 2)))
        if (tick.at > 0) finer.push_back({std::log10(tick.at), tick.label});
    return finer;
}

std::vector<Tick> duration_ticks(Range range, std::size_t most) {
    const double least = least_step(range, most);
    std::vector<Tick> ticks;
    if (least < 0.5) { // less than a second apart
        ticks = number_ticks(range, most);
        for (auto& tick : ticks)
            if (tick.at != 0) tick.label += "s";
        return ticks;
    }
    for (double at : multiples(range, time_step(least))) ticks.push_back({at, duration_label(at)});
    return ticks;
}

std::vector<Tick> clock_ticks(Range range, std::size_t most) {
    const double step = time_step(std::max(least_step(range, most), 0.5));
    const auto begin = std::time_t(range.low);
    std::tm parts{};
    ::localtime_r(&begin, &parts);
    const auto zone = double(parts.tm_gmtoff); // round times are round on the clock here
    std::vector<Tick> ticks;
    for (double at : multiples({range.low + zone, range.high + zone}, step))
        ticks.push_back({at - zone, clock_label(at - zone, step)});
    return ticks;
}

std::vector<Tick> ticks_of(Axis axis, Range range, std::size_t most) {
    switch (axis) {
    case Axis::number: return number_ticks(range, most);
    case Axis::whole: return number_ticks(range, most, 1);
    case Axis::duration: return duration_ticks(range, most);
    case Axis::clock: return clock_ticks(range, most);
    }
    return {};
}

} // namespace poster
