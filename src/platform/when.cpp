#include "when.hpp"

#include <cstdint>
#include <ctime>

namespace poster {

namespace {

std::optional<WallTime> parse_local_time(const std::string& text) {
    for (const char* form :
         {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"}) {
        std::tm parts{};
        const char* end = ::strptime(text.c_str(), form, &parts);
        if (end == nullptr || *end != '\0') continue;
        parts.tm_isdst = -1;
        return WallTime(Milliseconds(std::int64_t(std::mktime(&parts)) * 1000));
    }
    return std::nullopt;
}

} // namespace

std::optional<WallTime> parse_when(std::string_view text, WallTime now) {
    if (auto duration = parse_duration(text)) return now - *duration;
    if (auto local = parse_local_time(std::string(text))) return local;
    return text.find('T') == std::string_view::npos ? std::nullopt : parse_iso8601(text);
}

} // namespace poster
