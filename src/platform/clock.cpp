#include "clock.hpp"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <cmath>
#include <ctime>
#include <utility>

namespace poster {

namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

struct Calendar {
    std::chrono::year_month_day date;
    std::chrono::hh_mm_ss<Milliseconds> time;
};

Calendar calendar(WallTime time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    return {std::chrono::year_month_day{day}, std::chrono::hh_mm_ss<Milliseconds>{time - day}};
}

// Takes exactly `count` digits off the front of `text`.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
    if (text.size() < count) return {};
    int number = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (text[i] < '0' || text[i] > '9') return {};
        number = number * 10 + (text[i] - '0');
    }
    text.remove_prefix(count);
    return number;
}

bool take(std::string_view& text, char wanted) {
    if (text.empty() || text.front() != wanted) return false;
    text.remove_prefix(1);
    return true;
}

// ".042": any number of digits, of which three count.
std::optional<int> take_fraction(std::string_view& text) {
    if (!take(text, '.')) return 0;
    int milliseconds = 0;
    int digits = 0;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), ++digits) {
        if (digits < 3) milliseconds = milliseconds * 10 + (text.front() - '0');
    }
    if (digits == 0) return {};
    for (; digits < 3; ++digits) milliseconds *= 10;
    return milliseconds;
}

// "Z", "", "+01:00" or "+0100": minutes east of UTC.
std::optional<int> take_zone(std::string_view text) {
    if (text.empty() || text == "Z" || text == "z") return 0;
    const int sign = text.front() == '-' ? -1 : 1;
    if (!take(text, '+') && !take(text, '-')) return {};
    const auto hours = take_digits(text, 2);
    take(text, ':');
    const auto minutes = take_digits(text, 2);
    if (!hours || !minutes || !text.empty()) return {};
    return sign * (*hours * 60 + *minutes);
}

constexpr std::array<std::pair<std::string_view, double>, 13> kUnits{{{"ms", 1},
                                                                      {"s", 1e3},
                                                                      {"sec", 1e3},
                                                                      {"", 1e3},
                                                                      {"m", 6e4},
                                                                      {"min", 6e4},
                                                                      {"h", 3.6e6},
                                                                      {"hr", 3.6e6},
                                                                      {"d", 8.64e7},
                                                                      {"day", 8.64e7},
                                                                      {"days", 8.64e7},
                                                                      {"w", 6.048e8},
                                                                      {"hours", 3.6e6}}};

std::optional<double> unit_milliseconds(std::string_view unit) {
    for (const auto& [name, milliseconds] : kUnits) {
        if (unit == name) return milliseconds;
    }
    return {};
}

// Digits with at most one point, in the C locale whatever the program's is.
std::optional<double> take_number(std::string_view& text) {
    double number = 0;
    double scale = 0;
    bool any = false;
    for (; !text.empty(); text.remove_prefix(1)) {
        const char c = text.front();
        if (c >= '0' && c <= '9') {
            any = true;
            number = scale == 0 ? number * 10 + (c - '0') : number + (c - '0') * scale;
            if (scale != 0) scale /= 10;
        } else if (c == '.' && scale == 0) {
            scale = 0.1;
        } else {
            break;
        }
    }
    if (!any) return {};
    return number;
}

void skip_spaces(std::string_view& text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

} // namespace

WallTime wall_now() {
    return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
}

WallTime wall_time(const timespec& time) {
    return WallTime{std::chrono::seconds(time.tv_sec) + Milliseconds(time.tv_nsec / 1'000'000)};
}

std::string iso8601(WallTime time) {
    const auto [date, clock] = calendar(time);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", int(date.year()), unsigned(date.month()),
                       unsigned(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

std::optional<WallTime> parse_iso8601(std::string_view text) {
    const auto year = take_digits(text, 4);
    if (!year || !take(text, '-')) return {};
    const auto month = take_digits(text, 2);
    if (!month || !take(text, '-')) return {};
    const auto day = take_digits(text, 2);
    if (!day) return {};
    const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month(unsigned(*month)),
                                           std::chrono::day(unsigned(*day))};
    if (!date.ok()) return {};
    WallTime time = std::chrono::sys_days{date};
    if (text.empty()) return time;
    if (!take(text, 'T') && !take(text, ' ')) return {};
    const auto hour = take_digits(text, 2);
    if (!hour || !take(text, ':')) return {};
    const auto minute = take_digits(text, 2);
    if (!minute) return {};
    std::optional<int> second = 0;
    if (take(text, ':')) second = take_digits(text, 2);
    const auto fraction = take_fraction(text);
    const auto zone = take_zone(text);
    if (!second || !fraction || !zone || *hour > 24 || *minute > 59 || *second > 60) return {};
    return time + std::chrono::hours{*hour} + std::chrono::minutes{*minute - *zone} + seconds{*second} +
           Milliseconds{*fraction};
}

std::string local_zone() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    if (!::localtime_r(&now, &local)) return "+00:00";
    const long minutes = std::labs(local.tm_gmtoff) / 60;
    return fmt::format("{}{:02}:{:02}", local.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

std::string compact_utc(WallTime time) {
    const auto [date, clock] = calendar(time);
    return fmt::format("{:04}{:02}{:02}-{:02}{:02}{:02}", int(date.year()), unsigned(date.month()),
                       unsigned(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::optional<Milliseconds> parse_duration(std::string_view text) {
    double total = 0;
    bool any = false;
    for (skip_spaces(text); !text.empty(); skip_spaces(text)) {
        const auto number = take_number(text);
        if (!number) return {};
        skip_spaces(text);
        std::size_t length = 0;
        while (length < text.size() && std::isalpha(static_cast<unsigned char>(text[length]))) ++length;
        // A bare number counts seconds, but only alone: "1h 5" leaves it open what the 5 are.
        if (length == 0 && (any || !text.empty())) return {};
        const auto unit = unit_milliseconds(text.substr(0, length));
        if (!unit) return {};
        text.remove_prefix(length);
        total += *number * *unit;
        any = true;
    }
    constexpr double kLongest = 3e12; // 95 years: added to a time in nanoseconds it still fits
    if (!any || !(total <= kLongest)) return {};
    return Milliseconds{std::llround(total)};
}

std::string format_duration(Milliseconds duration) {
    const auto ms = duration.count();
    if (ms < 0) return "-" + format_duration(-duration);
    if (ms < 1000) return fmt::format("{}ms", ms);
    const auto tenths = (ms + 50) / 100;
    if (tenths < 600) return fmt::format("{}.{}s", tenths / 10, tenths % 10);
    const auto whole = (ms + 500) / 1000;
    if (whole < 3600) return fmt::format("{}m {}s", whole / 60, whole % 60);
    if (whole < 86'400) return fmt::format("{}h {}m", whole / 3600, whole % 3600 / 60);
    return fmt::format("{}d {}h", whole / 86'400, whole % 86'400 / 3600);
}

std::string format_ago(WallTime then, WallTime now) {
    const auto past = duration_cast<seconds>(now - then).count();
    if (past < 1) return "just now";
    if (past < 60) return fmt::format("{}s ago", past);
    if (past < 3600) return fmt::format("{}m ago", past / 60);
    if (past < 86'400) return fmt::format("{}h ago", past / 3600);
    return fmt::format("{}d ago", past / 86'400);
}

} // namespace poster
