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
        if (colon == std::string::npos || line.substr(0, colon).ends_with("lo")) continue;
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

json cgroup_limits() {
    json limits = json::object();
    std::string path;
    for (const auto& line : split(text_of("/proc/self/cgroup"), '\n'))
        if (line.starts_with("0::")) path = line.substr(3);
    for (fs::path dir = "/sys/fs/cgroup" + path; dir.string().size() > 14; dir = dir.parent_path()) {
        for (const auto& [file, name] : {std::pair("memory.max", "memory_max"), std::pair("cpu.max", "cpu_max")}) {
            std::string value = text_of(dir / file);
            while (!value.empty() && value.back() == '\n') value.pop_back();
            if (value.empty() || value.starts_with("max") || limits.contains(name)) continue;
            limits[name] = value;
        }
    }
    return limits;
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
    return {{"cpu_model", field(cpus, "model name")},
            {"sockets", std::max<std::size_t>(1, sockets.size())},
            {"cores", std::max<std::size_t>(1, cores.size())},
            {"threads", ::sysconf(_SC_NPROCESSORS_ONLN)},
            {"threads_allowed", CPU_COUNT(&allowed)},
            {"memory_total_bytes", kilobytes(memory, "MemTotal")},
            {"swap_total_bytes", kilobytes(memory, "SwapTotal")},
            {"architecture", names.machine},
            {"cgroup_limits", cgroup_limits()},
            {"gpus", listed_gpus()}};
}

} // namespace poster
