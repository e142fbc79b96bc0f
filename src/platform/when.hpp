#pragma once
// Times as people type them.

#include "clock.hpp"

namespace poster {

// A duration back from `now`, a date or a time of this machine ("2026-11-20", "2026-11-20 14:00"), or ISO 8601 with
// zone.
std::optional<WallTime> parse_when(std::string_view text, WallTime now);

} // namespace poster
