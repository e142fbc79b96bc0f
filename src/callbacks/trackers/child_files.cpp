#include "child_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>
#include <text.hpp>

namespace poster {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDeepest = 8;                    // folders below a root
constexpr std::size_t kLookAtClock = 64;       // entries
constexpr std::size_t kMostRunsToJudge = 1000; // beyond that, other runs are taken to be everywhere

std::optional<fs::path> link_target(const std::string& link) {
    std::array<char, 4096> target;
    const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
    if (length <= 0 || static_cast<std::size_t>(length) == target.size()) return std::nullopt;
    return fs::path(std::string(target.data(), static_cast<std::size_t>(length)));
}

template <typename Visit>
void for_each_entry(const fs::path& directory, Visit visit) {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(directory.c_str()), ::closedir};
    while (const dirent* entry = entries ? ::readdir(entries.get()) : nullptr) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != ".." && !visit(std::string(name), entry->d_type)) return;
    }
}

std::optional<pid_t> pid_in(std::string_view text) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return pid;
}

bool is_open_for_writing(pid_t pid, const std::string& fd) {
    const auto info = read_file(fmt::format("/proc/{}/fdinfo/{}", pid, fd));
    if (!info) return false;
    const auto at = info->find("flags:\t");
    if (at == std::string::npos) return false;
    unsigned flags = 0;
    std::from_chars(info->data() + at + 7, info->data() + info->size(), flags, 8);
    return (flags & O_ACCMODE) != O_RDONLY;
}

template <typename Visit>
void for_each_open_file(pid_t pid, Visit visit) {
    const std::string folder = fmt::format("/proc/{}/fd", pid);
    for_each_entry(folder, [&](const std::string& fd, unsigned char) {
        const auto file = link_target(folder + "/" + fd);
        if (file && file->is_absolute() && visit(*file, fd)) return false;
        return true;
    });
}

// Of the user's processes outside `tree`.
bool is_open_elsewhere(const fs::path& file, const std::set<pid_t>& tree) {
    bool found = false;
    for_each_entry("/proc", [&](const std::string& name, unsigned char) {
        const auto pid = pid_in(name);
        if (!pid || tree.contains(*pid)) return true;
        for_each_open_file(*pid, [&](const fs::path& open, const std::string& fd) {
            found = open == file && is_open_for_writing(*pid, fd);
            return found;
        });
        return !found;
    });
    return found;
}

bool is_within(const fs::path& path, const fs::path& folder) {
    const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return end == folder.end();
}

// Large, and nobody's results: what a program reads, not what it writes.
bool is_entered(const fs::path& directory, const std::string& name, const fs::path& store) {
    static constexpr std::array<std::string_view, 5> kSkipped{"node_modules", "__pycache__", "site-packages", "venv",
                                                              "env"};
    if (name.front() == '.' || std::find(kSkipped.begin(), kSkipped.end(), name) != kSkipped.end()) return false;
    struct stat info{};
    return directory != store && ::stat((directory / "pyvenv.cfg").c_str(), &info) != 0;
}

// A walk through folders, nearest first, with an end.
class Walk {
public:
    Walk(const Run& run, const ChildFiles::Matches& matches, std::size_t entries, Clock::time_point limit)
        : run_(run), matches_(matches), entries_(entries), limit_(limit) {}

    void add_root(const fs::path& root) { queue_.emplace_back(root, 0); }

    std::multimap<WallTime, fs::path> go() {
        while (!queue_.empty() && entries_ > 0 && Clock::now() < limit_) {
            auto [directory, depth] = std::move(queue_.front());
            queue_.pop_front();
            look_into(directory, depth);
        }
        return std::move(found_);
    }

private:
    void look_into(const fs::path& directory, int depth) {
        struct stat info{};
        if (::stat(directory.c_str(), &info) != 0 || !visited_.emplace(info.st_dev, info.st_ino).second) return;
        std::multimap<WallTime, fs::path, std::greater<>> below; // the last changed first
        for_each_entry(directory, [&](const std::string& name, unsigned char type) {
            if (entries_ == 0 || (entries_ % kLookAtClock == 0 && Clock::now() >= limit_)) return false;
            --entries_;
            const fs::path path = directory / name;
            struct stat entry{};
            if (type == DT_UNKNOWN && ::lstat(path.c_str(), &entry) == 0) type = IFTODT(entry.st_mode);
            if (type == DT_REG && matches_(path)) take(path);
            if (type == DT_DIR && depth < kDeepest && is_entered(path, name, run_.store) &&
                ::lstat(path.c_str(), &entry) == 0)
                below.emplace(wall_time(entry.st_mtim), path);
            return true;
        });
        for (const auto& [time, path] : below) queue_.emplace_back(path, depth + 1);
    }

    void take(const fs::path& path) {
        struct stat info{};
        if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || wall_time(info.st_mtim) < run_.started_at)
            return;
        found_.emplace(wall_time(info.st_mtim), path);
    }

    const Run& run_;
    const ChildFiles::Matches& matches_;
    std::size_t entries_;
    Clock::time_point limit_;
    std::deque<std::pair<fs::path, int>> queue_;
    std::set<std::pair<dev_t, ino_t>> visited_;
    std::multimap<WallTime, fs::path> found_;
};

} // namespace

ChildFiles::ChildFiles(const Run& run, Matches matches, std::vector<fs::path> places)
    : run_(run), matches_(std::move(matches)), places_(std::move(places)) {}

std::vector<fs::path> ChildFiles::open_files() {
    std::vector<fs::path> found;
    std::vector<pid_t> tree = descendants(run_.child);
    tree.push_back(run_.child);
    for (const pid_t pid : tree) {
        processes_.insert(pid);
        if (auto directory = link_target(fmt::format("/proc/{}/cwd", pid))) working_directories_.insert(*directory);
        for_each_open_file(pid, [&](const fs::path& file, const std::string& fd) {
            if (!known_.contains(file) && matches_(file) && is_open_for_writing(pid, fd) && known_.insert(file).second)
                found.push_back(file);
            return false;
        });
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<fs::path> ChildFiles::changed_files(std::size_t entries, Milliseconds time) {
    Walk walk(run_, matches_, entries, Clock::now() + time);
    for (const auto& root : roots()) walk.add_root(root);
    const auto candidates = walk.go();
    if (!candidates.empty()) know_processes_by_events();
    std::vector<fs::path> found;
    for (const auto& [changed, file] : candidates) {
        if (known_.contains(file)) continue;
        if (!is_ours_by_name(file) && (others_run_here() || is_open_elsewhere(file, processes_))) continue;
        known_.insert(file);
        found.push_back(file);
    }
    return found;
}

// As /proc spells them: without links.
std::vector<fs::path> ChildFiles::roots() const {
    std::vector<fs::path> roots;
    const auto add = [&](const fs::path& root) {
        std::error_code failure;
        fs::path canonical = fs::canonical(root, failure);
        if (!failure && canonical != canonical.root_path()) roots.push_back(std::move(canonical));
    };
    for (const auto& place : places_) {
        add(run_.spec.cwd / place);
        for (const auto& directory : working_directories_) add(directory / place);
    }
    return roots;
}

// Each process of the run that has logged anything has a file HOST.PID.jsonl.
void ChildFiles::know_processes_by_events() {
    processes_.insert(run_.child);
    const std::string host = host_name() + ".";
    for_each_entry(run_.attempt_dir() / "events", [&](const std::string& name, unsigned char) {
        if (name.starts_with(host))
            if (const auto pid = pid_in(split(name.substr(host.size()), '.').front())) processes_.insert(*pid);
        return true;
    });
}

// Many names hold the pid of the process that made the file.
bool ChildFiles::is_ours_by_name(const fs::path& file) const {
    const auto parts = split(file.filename().native(), '.');
    return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
        const auto pid = pid_in(part);
        return pid && processes_.contains(*pid);
    });
}

// Another run that works in the same folder, or did while this one ran, may have made what has appeared there.
bool ChildFiles::others_run_here() {
    if (others_seen_) return true;
    std::vector<std::string> others;
    for_each_entry(run_.store / "active", [&](const std::string& id, unsigned char) {
        others.push_back(id);
        return true;
    });
    const std::string start = compact_utc(run_.started_at); // an id begins with the time of its run
    for_each_entry(run_.store / "runs", [&](const std::string& id, unsigned char) {
        if (id >= start) others.push_back(id);
        return true;
    });
    for (const auto& id : others) {
        if (id == run_.id || !judged_runs_.insert(id).second) continue;
        const auto record = read_json(run_.store / "runs" / id / "run.json");
        const fs::path cwd = record ? text_of(*record, "cwd") : std::string{};
        if (!cwd.empty() && !is_within(cwd, run_.spec.cwd) && !is_within(run_.spec.cwd, cwd)) continue;
        others_seen_ = true;
    }
    others_seen_ |= judged_runs_.size() > kMostRunsToJudge;
    return others_seen_;
}

std::vector<fs::path> directories_in_arguments(const RunSpec& spec) {
    static constexpr std::array<std::string_view, 7> kHints{"dir", "log", "out", "path", "folder", "root", "save"};
    const auto hints_at_one = [](std::string_view name) {
        return std::any_of(kHints.begin(), kHints.end(),
                           [&](std::string_view hint) { return name.find(hint) != std::string_view::npos; });
    };
    std::vector<fs::path> found;
    std::string_view option;
    for (const std::string_view word : spec.argv) {
        const auto equals = word.find('=');
        const std::string_view name = equals == std::string_view::npos ? option : word.substr(0, equals);
        const std::string_view value = equals == std::string_view::npos ? word : word.substr(equals + 1);
        if (!value.empty() && hints_at_one(name)) found.push_back(spec.cwd / value);
        option = word.starts_with('-') && equals == std::string_view::npos ? word : std::string_view{};
    }
    return found;
}

std::string environment_of_child(const RunSpec& spec, const std::string& name) {
    const char* inherited = std::getenv(name.c_str());
    std::string value = inherited != nullptr ? inherited : "";
    for (const auto& [changed, to] : spec.environment)
        if (changed == name) value = to;
    return value;
}

} // namespace poster
