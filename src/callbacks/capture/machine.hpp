#pragma once
// Counters of this machine and of a process tree, from /proc and /sys; rates come from the difference of two readings.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace poster {

struct Counters {
    std::chrono::steady_clock::time_point at{};
    double tree_cpu_s = 0, busy_s = 0, total_s = 0; // busy and total: of all CPUs
    std::uint64_t tree_rss = 0, tree_read = 0, tree_written = 0;
    int processes = 0;
    std::uint64_t memory_used = 0, memory_total = 0;
    std::uint64_t disk_read = 0, disk_written = 0, net_received = 0, net_sent = 0;
};

Counters read_counters(pid_t root);
// {"tree": {…}, "machine": {…}} as docs/callbacks/hardware.md describes.
nlohmann::json sample_between(const Counters& before, const Counters& now);
// CPU model, cores, memory, limits of the cgroup, GPUs that the driver lists: what does not change.
nlohmann::json describe_machine();
// {"memory_max": bytes, "cpu_max": "quota period"} as version 2 writes them, the tightest of the cgroup and those above
// it, of both versions; {} without limits. `own`: the content of /proc/self/cgroup; `root`: /sys/fs/cgroup.
nlohmann::json cgroup_limits(const std::filesystem::path& root, const std::string& own);
// "535.104.05" of /proc/driver/nvidia/version; "" when it is not there.
std::string driver_version(const std::string& text);

} // namespace poster
