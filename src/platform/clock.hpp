#pragma once
// Times and durations, for records (ISO 8601, UTC) and for people.

#include <time.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace poster {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using Milliseconds = std::chrono::milliseconds;

WallTime wall_now();
WallTime wall_time(const timespec& time); // of a file, say
std::string iso8601(WallTime time);       // 2026-11-23T07:02:13.042Z
std::optional<WallTime> parse_iso8601(std::string_view text);
std::string local_zone();                                          // offset of this machine, "+01:00"
std::string compact_utc(WallTime time);                            // 20261123-070213
std::optional<Milliseconds> parse_duration(std::string_view text); // "10s" "1h30m" "500ms" "2d" "90" (seconds)
std::string format_duration(Milliseconds duration);                // "850ms" "4.2s" "3m 20s" "2h 3m" "1d 4h"
std::string format_ago(WallTime then, WallTime now);               // "12s ago" "3h ago" "2d ago"

} // namespace poster
