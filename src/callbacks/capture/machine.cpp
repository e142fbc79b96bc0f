#include "machine.hpp"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>

#include <nlohmann/json.hpp>

#include <files.hpp>
#include <process.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

std::string text_of(const fs::path& path) {
    return read_file(path).value_or("");
}

// The value behind "name:" in a file of "name: value" lines.
std::string field(const std::string& text, std::string_view name) {
    for (const auto& line : split(text, '\n')) {
        if (!line.starts_with(name)) continue;
        auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        auto start = line.find_first_not_of(" \t", colon + 1);
        return start == std::string::npos ? "" : line.substr(start);
    }
    return {};
}

std::uint64_t kilobytes(const std::string& text, std::string_view name) {
    return std::strtoull(field(text, name).c_str(), nullptr, 10) * 1024;
}

void read_tree(pid_t root, Counters& counters) {
    double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    std::vector<pid_t> tree = descendants(root);
    tree.push_back(root);
    for (pid_t pid : tree) {
        auto sample = sample_process(pid);
        if (!sample) continue;
        ++counters.processes;
        counters.tree_cpu_s += static_cast<double>(sample->cpu_ticks) / ticks;
        counters.tree_rss += sample->resident_bytes;
        counters.tree_read += sample->read_bytes;
        counters.tree_written += sample->write_bytes;
    }
}

void read_cpu(Counters& counters) {
    double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    std::array<unsigned long long, 8> t{}; // user nice system idle iowait irq softirq steal
    std::sscanf(text_of("/proc/stat").c_str(), "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
                &t[3], &t[4], &t[5], &t[6], &t[7]);
    double total = 0;
    for (auto value : t) total += static_cast<double>(value);
    counters.total_s = total / ticks;
    counters.busy_s = (total - static_cast<double>(t[3] + t[4])) / ticks;
}

// Whole disks only: a partition's bytes are its disk's as well.
void read_disks(Counters& counters) {
    for (const auto& line : split(text_of("/proc/diskstats"), '\n')) {
        char name[64] = {};
        unsigned long long read = 0;
        unsigned long long written = 0;
        if (std::sscanf(line.c_str(), " %*d %*d %63s %*u %*u %llu %*u %*u %*u %llu", name, &read, &written) != 3)
            continue;
        bool is_disk = ::access(("/sys/block/" + std::string(name) + "/device").c_str(), F_OK) == 0;
        if (!is_disk) continue;
        counters.disk_read += read * 512;
        counters.disk_written += written * 512;
    }
}

void read_network(Counters& counters) {
    for (const auto& line : split(text_of("/proc/net/dev"), '\n')) {
        auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        auto start = line.find_first_not_of(' ');
        if (line.substr(start, colon - start) == "lo") continue;
        unsigned long long received = 0;
        unsigned long long sent = 0;
        if (std::sscanf(line.c_str() + colon + 1, " %llu %*u %*u %*u %*u %*u %*u %*u %llu", &received, &sent) != 2)
            continue;
        counters.net_received += received;
        counters.net_sent += sent;
    }
}

double rate(std::uint64_t before, std::uint64_t now, double seconds) {
    return seconds <= 0 || now < before
               ? 0
               : static_cast<double>(now - before) / seconds; // a process that left takes its count along
}

std::string line_of(const fs::path& path) {
    std::string text = text_of(path);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

// Version 1 writes a number near 2^63 where there is no limit.
constexpr double kNoLimit = 1e18;

struct TightestLimits {
    double memory = kNoLimit, cpus = kNoLimit;
    json found = json::object();

    void take_memory(const std::string& value) {
        double bytes = std::strtod(value.c_str(), nullptr);
        if (value.empty() || value == "max" || bytes >= memory) return;
        memory = bytes;
        found["memory_max"] = value;
    }
    void take_cpu(const std::string& quota_and_period) {
        double quota = 0;
        double period = 0;
        bool limited =
            std::sscanf(quota_and_period.c_str(), "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0;
        if (!limited || quota / period >= cpus) return;
        cpus = quota / period;
        found["cpu_max"] = quota_and_period;
    }
};

// The folder of a cgroup and all above it. In a container the path may be the host's: then only the root is there.
template <typename Visit>
void climb(const fs::path& root, const std::string& path, Visit visit) {
    for (fs::path at = fs::path(path).relative_path().lexically_normal(); !at.empty(); at = at.parent_path())
        visit(root / at);
    visit(root);
}

json listed_gpus() {
    json gpus = json::array();
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator("/proc/driver/nvidia/gpus", failure))
        gpus.push_back(
            {{"name", field(text_of(entry.path() / "information"), "Model")}, {"bus", entry.path().filename()}});
    return gpus;
}

} // namespace

json cgroup_limits(const fs::path& root, const std::string& own) {
    TightestLimits limits;
    for (const auto& line : split(own, '\n')) {
        auto first = line.find(':');
        auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        std::string path = line.substr(second + 1);
        for (const auto& controller : split(line.substr(first + 1, second - first - 1), ',')) {
            climb(root / controller, path, [&](const fs::path& dir) {
                if (controller == "memory") limits.take_memory(line_of(dir / "memory.limit_in_bytes"));
                if (controller == "cpu")
                    limits.take_cpu(line_of(dir / "cpu.cfs_quota_us") + " " + line_of(dir / "cpu.cfs_period_us"));
            });
        }
        if (second != first + 1) continue;
        climb(root, path, [&](const fs::path& dir) {
            limits.take_memory(line_of(dir / "memory.max"));
            limits.take_cpu(line_of(dir / "cpu.max"));
        });
    }
    return limits.found;
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug …": the word of digits and dots.
std::string driver_version(const std::string& text) {
    for (const auto& word : split(text.substr(0, text.find('\n')), ' ')) {
        bool dotted = word.find('.') != std::string::npos;
        if (dotted && word.find_first_not_of("0123456789.") == std::string::npos) return word;
    }
    return {};
}

Counters read_counters(pid_t root) {
    Counters counters;
    counters.at = std::chrono::steady_clock::now();
    read_tree(root, counters);
    read_cpu(counters);
    std::string memory = text_of("/proc/meminfo");
    counters.memory_total = kilobytes(memory, "MemTotal");
    counters.memory_used = counters.memory_total - kilobytes(memory, "MemAvailable");
    read_disks(counters);
    read_network(counters);
    return counters;
}

json sample_between(const Counters& before, const Counters& now) {
    double seconds = std::chrono::duration<double>(now.at - before.at).count();
    auto percent = [](double part, double whole) { return whole <= 0 || part < 0 ? 0 : 100 * part / whole; };
    std::array<double, 3> load{};
    if (::getloadavg(load.data(), 3) != 3) load = {};
    json tree{{"cpu_percent", percent(now.tree_cpu_s - before.tree_cpu_s, seconds)},
              {"rss_bytes", now.tree_rss},
              {"processes", now.processes},
              {"read_bytes_s", rate(before.tree_read, now.tree_read, seconds)},
              {"write_bytes_s", rate(before.tree_written, now.tree_written, seconds)}};
    json machine{{"cpu_percent", percent(now.busy_s - before.busy_s, now.total_s - before.total_s)},
                 {"memory_used_bytes", now.memory_used},
                 {"memory_total_bytes", now.memory_total},
                 {"load1", load[0]},
                 {"load5", load[1]},
                 {"load15", load[2]},
                 {"disk_read_bytes_s", rate(before.disk_read, now.disk_read, seconds)},
                 {"disk_write_bytes_s", rate(before.disk_written, now.disk_written, seconds)},
                 {"net_received_bytes_s", rate(before.net_received, now.net_received, seconds)},
                 {"net_sent_bytes_s", rate(before.net_sent, now.net_sent, seconds)}};
    return {{"tree", tree}, {"machine", machine}};
}

json describe_machine() {
    std::string cpus = text_of("/proc/cpuinfo");
    std::string memory = text_of("/proc/meminfo");
    std::set<std::string> sockets;
    std::string socket;
    std::set<std::string> cores;
    for (const auto& line : split(cpus, '\n')) {
        if (line.starts_with("physical id")) sockets.insert(socket = line);
        if (line.starts_with("core id")) cores.insert(socket + line);
    }
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    utsname names{};
    ::uname(&names);
    json machine{{"cpu_model", field(cpus, "model name")},
                 {"threads", ::sysconf(_SC_NPROCESSORS_ONLN)},
                 {"threads_allowed", CPU_COUNT(&allowed)},
                 {"cpus_allowed", field(text_of("/proc/self/status"), "Cpus_allowed_list")},
                 {"memory_total_bytes", kilobytes(memory, "MemTotal")},
                 {"swap_total_bytes", kilobytes(memory, "SwapTotal")},
                 {"architecture", names.machine},
                 {"cgroup_limits", cgroup_limits("/sys/fs/cgroup", text_of("/proc/self/cgroup"))},
                 {"gpus", listed_gpus()}};
    // Not every architecture tells them.
    if (!sockets.empty()) machine["sockets"] = sockets.size();
    if (!cores.empty()) machine["cores"] = cores.size();
    std::string driver = driver_version(text_of("/proc/driver/nvidia/version"));
    if (!driver.empty()) machine["gpu_driver_version"] = driver;
    return machine;
}

} // namespace poster
