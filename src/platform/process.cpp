#include "process.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <unordered_map>

#include "files.hpp"
#include "text.hpp"

namespace poster {

namespace {

constexpr std::size_t kCommandColumns = 80;

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end == text.data()) return {};
    return number;
}

// What follows the name in /proc/PID/stat; the name itself may hold spaces and parentheses. [0] is field 3, the state.
std::vector<std::string> stat_fields(pid_t pid) {
    const auto content = read_file(fmt::format("/proc/{}/stat", pid));
    if (!content) return {};
    const std::size_t end = content->rfind(')');
    if (end == std::string::npos) return {};
    return split(std::string_view{*content}.substr(end + 1), ' ');
}

constexpr std::size_t kState = 0;
constexpr std::size_t kParent = 1;
constexpr std::size_t kUserTime = 11;
constexpr std::size_t kSystemTime = 12;
constexpr std::size_t kStartTime = 19;
constexpr std::size_t kResidentPages = 21;

template <typename Visit>
void for_each_number_in(const std::string& directory, Visit visit) {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(directory.c_str()), ::closedir};
    if (!entries) return;
    while (const dirent* entry = ::readdir(entries.get())) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        if (const auto pid = number_in<pid_t>(entry->d_name)) visit(*pid);
    }
}

bool kernel_lists_children() {
    static const bool lists = ::access("/proc/thread-self/children", R_OK) == 0;
    return lists;
}

void append_children(pid_t pid, std::vector<pid_t>& found) {
    const std::string tasks = fmt::format("/proc/{}/task", pid);
    for_each_number_in(tasks, [&](pid_t thread) {
        const auto content = read_file(fmt::format("{}/{}/children", tasks, thread));
        if (!content) return;
        for (const auto& word : split(*content, ' ')) {
            if (const auto child = number_in<pid_t>(word)) found.push_back(*child);
        }
    });
}

// For kernels without CONFIG_PROC_CHILDREN.
std::unordered_multimap<pid_t, pid_t> children_by_parent() {
    std::unordered_multimap<pid_t, pid_t> children;
    for_each_number_in("/proc", [&](pid_t pid) {
        const auto fields = stat_fields(pid);
        if (fields.size() <= kParent) return;
        if (const auto parent = number_in<pid_t>(fields[kParent])) children.emplace(*parent, pid);
    });
    return children;
}

std::uint64_t field_after(const std::string& content, std::string_view name) {
    const std::size_t at = content.find(name);
    if (at == std::string::npos) return 0;
    std::string_view rest = std::string_view{content}.substr(at + name.size());
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    return number_in<std::uint64_t>(rest).value_or(0);
}

// "oom_kill 3" as a line of its own: "oom_kill_disable" and "oom_group_kill" stand in the same files.
std::optional<std::uint64_t> oom_kills_in(const std::string& path) {
    const auto content = read_file(path);
    if (!content) return {};
    constexpr std::string_view kKey = "oom_kill ";
    for (const auto& line : split(*content, '\n')) {
        if (line.rfind(kKey, 0) == 0) return number_in<std::uint64_t>(std::string_view{line}.substr(kKey.size()));
    }
    return {};
}

struct CgroupPaths {
    std::string unified; // of version 2
    std::string memory;  // of version 1's memory controller
    bool has_memory_v1 = false;
};

CgroupPaths own_cgroups() {
    CgroupPaths paths;
    for (const auto& line : split(read_file("/proc/self/cgroup").value_or(""), '\n')) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string_view controllers = std::string_view{line}.substr(first + 1, second - first - 1);
        const std::string path = line.substr(second + 1);
        if (controllers.empty()) paths.unified = path;
        for (const auto& controller : split(controllers, ',')) {
            if (controller != "memory") continue;
            paths.memory = path;
            paths.has_memory_v1 = true;
        }
    }
    return paths;
}

bool holds_entry(std::string_view environment, std::string_view assignment) {
    while (!environment.empty()) {
        const std::size_t end = std::min(environment.find('\0'), environment.size());
        if (environment.substr(0, end) == assignment) return true;
        environment.remove_prefix(std::min(end + 1, environment.size()));
    }
    return false;
}

} // namespace

std::optional<std::uint64_t> start_ticks(pid_t pid) {
    const auto fields = stat_fields(pid);
    if (fields.size() <= kStartTime) return {};
    if (fields[kState] == "Z" || fields[kState] == "X" || fields[kState] == "x") return {};
    return number_in<std::uint64_t>(fields[kStartTime]);
}

bool is_stopped(pid_t pid) {
    std::string stat = read_file(fmt::format("/proc/{}/stat", pid)).value_or("");
    auto name_end = stat.rfind(") "); // the name may hold anything
    return name_end != std::string::npos && stat.size() > name_end + 2 && stat[name_end + 2] == 'T';
}

bool is_alive(ProcessIdentity who) {
    return who.pid > 0 && start_ticks(who.pid) == who.start_ticks;
}

ProcessIdentity self_identity() {
    const pid_t pid = ::getpid();
    return {pid, start_ticks(pid).value_or(0)};
}

std::string boot_id() {
    std::string id = read_file("/proc/sys/kernel/random/boot_id").value_or("");
    while (!id.empty() && id.back() == '\n') id.pop_back();
    return id;
}

std::string host_name() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
    return name;
}

std::string command_of(pid_t pid) {
    std::string words = read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
    while (!words.empty() && words.back() == '\0') words.pop_back();
    for (char& c : words) {
        if (static_cast<unsigned char>(c) < ' ') c = ' ';
    }
    if (words.empty()) { // a kernel thread, or gone meanwhile
        words = read_file(fmt::format("/proc/{}/comm", pid)).value_or("");
        while (!words.empty() && words.back() == '\n') words.pop_back();
    }
    return shorten(valid_utf8(words), kCommandColumns);
}

std::vector<pid_t> descendants(pid_t pid) {
    std::vector<pid_t> found;
    if (kernel_lists_children()) {
        append_children(pid, found);
        for (std::size_t next = 0; next < found.size();) append_children(found[next++], found);
        return found;
    }
    const auto children = children_by_parent();
    const auto append = [&](pid_t parent) {
        const auto [begin, end] = children.equal_range(parent);
        for (auto entry = begin; entry != end; ++entry) found.push_back(entry->second);
    };
    append(pid);
    for (std::size_t next = 0; next < found.size();) append(found[next++]);
    return found;
}

bool has_in_environment(pid_t pid, std::string_view assignment) {
    const auto environment = read_file(fmt::format("/proc/{}/environ", pid));
    return environment && holds_entry(*environment, assignment);
}

bool is_same_program(pid_t pid) {
    struct stat own{}, theirs{};
    return ::stat("/proc/self/exe", &own) == 0 && ::stat(fmt::format("/proc/{}/exe", pid).c_str(), &theirs) == 0 &&
           own.st_dev == theirs.st_dev && own.st_ino == theirs.st_ino;
}

std::vector<pid_t> processes_with_environment(std::string_view assignment) {
    std::vector<pid_t> found;
    const pid_t self = ::getpid();
    const uid_t user = ::geteuid();
    for_each_number_in("/proc", [&](pid_t pid) {
        if (pid == self) return;
        struct stat facts{};
        if (::stat(fmt::format("/proc/{}", pid).c_str(), &facts) != 0 || facts.st_uid != user) return;
        if (has_in_environment(pid, assignment)) found.push_back(pid);
    });
    return found;
}

std::optional<ProcessSample> sample_process(pid_t pid) {
    const auto fields = stat_fields(pid);
    if (fields.size() <= kResidentPages) return {};
    static const auto page = std::uint64_t(::sysconf(_SC_PAGESIZE));
    ProcessSample sample;
    sample.pid = pid;
    sample.parent = number_in<pid_t>(fields[kParent]).value_or(0);
    sample.cpu_ticks = number_in<std::uint64_t>(fields[kUserTime]).value_or(0) +
                       number_in<std::uint64_t>(fields[kSystemTime]).value_or(0);
    sample.resident_bytes = number_in<std::uint64_t>(fields[kResidentPages]).value_or(0) * page;
    if (const auto io = read_file(fmt::format("/proc/{}/io", pid))) {
        sample.read_bytes = field_after(*io, "\nread_bytes:");
        sample.write_bytes = field_after(*io, "\nwrite_bytes:");
    }
    return sample;
}

std::uint64_t oom_kill_count() {
    const CgroupPaths paths = own_cgroups();
    // In a container the path may be the host's while the mount shows the container's own group at its root.
    for (const std::string& path : {paths.unified, std::string{}}) {
        if (const auto count = oom_kills_in("/sys/fs/cgroup" + path + "/memory.events")) return *count;
    }
    if (paths.has_memory_v1) {
        for (const std::string& path : {paths.memory, std::string{}}) {
            if (const auto count = oom_kills_in("/sys/fs/cgroup/memory" + path + "/memory.oom_control")) return *count;
        }
    }
    return oom_kills_in("/proc/vmstat").value_or(0);
}

namespace {

void close_range_of(unsigned first, unsigned last) {
    if (first > last || ::syscall(SYS_close_range, first, last, 0) == 0) return;
    std::vector<int> open; // closing while reading the folder would miss some
    for_each_number_in("/proc/self/fd", [&](pid_t fd) { open.push_back(fd); });
    if (open.empty()) {
        const auto end = std::min<long>(last, ::sysconf(_SC_OPEN_MAX) - 1);
        for (long fd = first; fd <= end; ++fd) ::close(int(fd));
    }
    for (const int fd : open)
        if (unsigned(fd) >= first && unsigned(fd) <= last) ::close(fd);
}

char* command_line_begin = nullptr;
std::size_t command_line_size = 0;

} // namespace

bool is_ignored(int signal) {
    struct sigaction action{};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void close_descriptors_except(std::vector<int> kept) {
    std::sort(kept.begin(), kept.end());
    unsigned first = 3;
    for (const int fd : kept) {
        if (fd < 3) continue;
        const auto keep = unsigned(fd);
        if (keep > first) close_range_of(first, keep - 1);
        first = keep + 1;
    }
    close_range_of(first, ~0U);
}

void remember_command_line(int argc, char** argv) {
    if (argc < 1) return;
    command_line_begin = argv[0];
    char* end = argv[0];
    for (int i = 0; i < argc && argv[i] == end; ++i) end = argv[i] + std::strlen(argv[i]) + 1;
    command_line_size = std::size_t(end - command_line_begin);
}

void show_command_line(const std::vector<std::string>& words) {
    if (command_line_size == 0) return;
    std::string text;
    for (const auto& word : words) text.append(word).push_back('\0');
    text.resize(command_line_size, '\0');
    text.back() = '\0'; // without it the kernel would read on in the environment
    std::copy(text.begin(), text.end(), command_line_begin);
}

} // namespace poster
