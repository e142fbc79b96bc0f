#pragma once
// What a SIGTERM (or another signal) to a poster means beyond itself: the value that sigqueue(3) sends with it.

namespace poster {

inline constexpr int kKillOrder = 0x4b494c4c; // `poster stop --kill`: end the tree at once
inline constexpr int kRelayOrder =
    0x52454c59; // from the launcher of a multirun, which was sent it: unless it came here, too

} // namespace poster
