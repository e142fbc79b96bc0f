#pragma once
// Is a run's poster alive? On a local file system an flock on attempts/N/lock says so for certain: the supervisor and its
// callback host share it (one open file description, close-on-exec), so it is free exactly when both are gone. On shared
// file systems nothing is locked: pid + start time + boot id decide on the same host, a heartbeat informs other hosts.

#include <filesystem>
#include <optional>
#include <string>

#include <fd.hpp>
#include <nlohmann/json_fwd.hpp>

namespace poster {

// Held by the supervisor for the life of an attempt. An empty Fd on a shared file system. Throws Error.
Fd lock_attempt(const std::filesystem::path& attempt_dir);
void beat(const std::filesystem::path& attempt_dir) noexcept; // rewrites `heartbeat`

enum class Life { alive, dead, unknown }; // unknown: another host's, on a shared file system
struct LifeSign {
    Life life = Life::unknown;
    bool rebooted = false;            // dead because the machine was restarted since
    std::optional<double> heartbeat_age_s;
    Fd claim;                         // dead: held by the caller while it finalises, so that no two do
};
// `attempt` is attempt.json's content. Only one caller at a time, on all hosts, gets `dead` with a valid right to finalise.
LifeSign look_for_life(const std::filesystem::path& attempt_dir, const nlohmann::json& attempt);

} // namespace poster
