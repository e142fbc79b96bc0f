#pragma once
// Is a run's poster alive? On a local file system an flock on attempts/N/lock says so for certain: the supervisor and
// its callback host share it (one open file description, close-on-exec), so it is free exactly when both are gone. On
// shared file systems nothing is locked: pid + start time + boot id decide on the same host, a heartbeat informs other
// hosts.

#include <filesystem>
#include <optional>
#include <string>

#include <fd.hpp>
#include <nlohmann/json_fwd.hpp>

namespace poster {

// Who this process is, for a file that says whose it is; and what is known of the one who wrote it. Of another host, or
// another container, nothing is.
nlohmann::json self_record(); // host, boot_id, pid, start_ticks, pid_namespace
bool owner_is_dead(const nlohmann::json& record);
bool owner_is_alive(const nlohmann::json& record);

// Held by the supervisor for the life of an attempt. An empty Fd on a shared file system, where attempts/N/lock only
// says who the owner is. Throws Error.
Fd lock_attempt(const std::filesystem::path& attempt_dir);
// True for an attempt that came with `poster fetch`: its lock is made here before anything else of it, and never
// copied. The processes it names are none that this store may touch.
bool was_fetched(const std::filesystem::path& attempt_dir);
void beat(const std::filesystem::path& attempt_dir) noexcept; // rewrites `heartbeat`

enum class Life { alive, dead, unknown }; // unknown: another host's, on a shared file system
struct LifeSign {
    Life life = Life::unknown;
    bool rebooted = false; // dead because the machine was restarted since
    std::optional<double> heartbeat_age_s;
    // The right to finalise a dead attempt. Locally the lock, which look_for_life() has taken to find out, and which
    // belongs to whoever holds this descriptor; on a shared file system a file, taken by claim_attempt().
    Fd claim;
    std::filesystem::path claim_file;
};
// `attempt` is attempt.json's content. Changes nothing on disk.
LifeSign look_for_life(const std::filesystem::path& attempt_dir, const nlohmann::json& attempt);

// Makes this process the only one, on all hosts, with the right to finalise the dead attempt; false: another has it.
bool claim_attempt(const std::filesystem::path& attempt_dir, LifeSign& sign);
void take_over_claim(const LifeSign& sign); // by a forked child that goes on after its parent; throws Error
void release_claim(const std::filesystem::path& attempt_dir, LifeSign& sign) noexcept;

} // namespace poster
