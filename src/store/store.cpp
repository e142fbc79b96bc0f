#include "store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>
#include <run_id.hpp>

#include "run_values.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr int kMostTries = 1000; // a million ids per second: this many in use means something else is wrong

constexpr std::string_view kAside = ".aside";

fs::path aside(const fs::path& mark) {
    return mark.parent_path() / fmt::format(".{}{}", mark.filename().native(), kAside);
}

bool exists_at(const fs::path& path) {
    struct stat facts{};
    return ::stat(path.c_str(), &facts) == 0;
}

bool is_directory_at(const fs::path& path) {
    struct stat facts{};
    return ::stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
}

std::vector<std::string> names_in(const fs::path& directory) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(directory.c_str()), ::closedir};
    if (!entries) return names;
    while (const dirent* entry = ::readdir(entries.get())) {
        if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
            names.emplace_back(entry->d_name);
    }
    return names;
}

// --store may name a folder that holds more than the store: a .gitignore there would hide the user's own files.
bool is_all_ours(const fs::path& dir) {
    constexpr std::string_view kOurs[] = {".gitignore", "active",  "client", "feed",
                                          "objects",    "pending", "runs",   "untold"};
    const auto names = names_in(dir);
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        return std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs) || name.rfind("index.", 0) == 0;
    });
}

void write_gitignore(const fs::path& dir) {
    const Fd fd{::open((dir / ".gitignore").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode)};
    if (fd) write_all(fd.get(), "*\n");
}

[[noreturn]] void refuse(const fs::path& dir, const std::string& why) {
    throw Error(fmt::format("cannot keep runs in {}: {}", dir.native(), why),
                "--store DIR or POSTER_STORE names another place");
}

json field(const json& record, const char* key) {
    if (!record.is_object()) return {};
    const auto found = record.find(key);
    return found == record.end() ? json{} : *found;
}

} // namespace

fs::path default_store(const fs::path& cwd) {
    for (fs::path dir = cwd;; dir = dir.parent_path()) {
        if (is_directory_at(dir / ".poster") || exists_at(dir / "poster.toml") || exists_at(dir / ".git"))
            return dir / ".poster";
        if (!dir.has_relative_path()) return cwd / ".poster";
    }
}

bool Store::exists() const {
    return is_directory_at(runs());
}

void Store::create() const {
    if (exists()) return;
    try {
        make_directories(dir_);
        if (is_all_ours(dir_)) write_gitignore(dir_);
        make_directories(dir_ / "active");
        make_directories(dir_ / "feed");
        make_directories(runs()); // last: it says that the store is whole
    } catch (const Error& error) {
        refuse(dir_, error.what());
    }
}

std::string Store::new_run(WallTime now) const {
    std::string id = new_queued_run(now);
    mark_active(id);
    return id;
}

std::string Store::new_queued_run(WallTime now) const {
    for (int i = 0; i < kMostTries; ++i) {
        std::string id = new_run_id(now);
        if (::mkdir(run_dir(id).c_str(), kDirectoryMode) == 0) return id;
        if (errno == ENOENT && i == 0) {
            create();
        } else if (errno != EEXIST) {
            refuse(dir_, std::strerror(errno));
        }
    }
    refuse(dir_, "no free run id was found");
}

void Store::mark_active(const std::string& id) const {
    const fs::path marker = dir_ / "active" / id;
    const auto open_marker = [&] { return Fd{::open(marker.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kFileMode)}; };
    Fd fd = open_marker();
    if (!fd && errno == ENOENT) {
        make_directories(marker.parent_path());
        fd = open_marker();
    }
    if (!fd) refuse(dir_, std::strerror(errno));
    ::futimens(fd.get(), nullptr); // recovery asks how old it is, also where an earlier attempt left it
}

void Store::unmark_active(const std::string& id) const noexcept {
    try {
        ::unlink((dir_ / "active" / id).c_str());
    } catch (const std::exception&) {
        return; // out of memory: recovery finds the run ended, and unmarks it
    }
}

bool Store::is_active(const std::string& id) const {
    return ::access((dir_ / "active" / id).c_str(), F_OK) == 0;
}

bool Store::has_ended(const std::string& id) const {
    if (is_active(id)) return false;
    const int newest = newest_attempt(run_dir(id));
    for (int number = 1; number <= newest; ++number)
        if (!read_outcome(attempt_dir(id, number))) return false;
    return newest > 0;
}

std::vector<std::string> Store::active_runs() const {
    std::vector<std::string> ids = names_in(dir_ / "active");
    std::erase_if(ids, [](const std::string& id) { return id.front() == '.'; });
    std::sort(ids.begin(), ids.end());
    return ids;
}

void Store::mark_pending(const std::string& id) const {
    if (::access(pending_file(id).c_str(), F_OK) != 0) note_pending(id, json::object());
}

void Store::put_pending_aside(const std::string& id) const {
    if (::rename(pending_file(id).c_str(), aside(pending_file(id)).c_str()) != 0 && errno != ENOENT)
        throw_errno("rename " + pending_file(id).native(), errno);
}

void Store::unmark_pending(const std::string& id) const noexcept {
    try {
        ::unlink(aside(pending_file(id)).c_str());
    } catch (const std::exception&) {
        return; // the next sync finds nothing to do, and takes it away
    }
}

void Store::note_pending(const std::string& id, const json& note) const {
    make_directories(dir_ / "pending");
    if (read_json(pending_file(id)) == note) return;
    write_json(pending_file(id), note);
    make_directories(dir_ / "untold");
    const Fd mark{::open((dir_ / "untold" / id).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kFileMode)};
}

std::vector<std::string> Store::untold_runs() const {
    std::vector<std::string> ids = names_in(dir_ / "untold");
    std::sort(ids.begin(), ids.end());
    return ids;
}

bool Store::take_untold(const std::string& id) const {
    return ::unlink((dir_ / "untold" / id).c_str()) == 0;
}

std::vector<std::string> Store::pending_runs() const {
    std::vector<std::string> ids;
    for (std::string& name : names_in(dir_ / "pending")) {
        if (name.front() != '.')
            ids.push_back(std::move(name));
        else if (name.ends_with(kAside))
            ids.push_back(name.substr(1, name.size() - 1 - kAside.size()));
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

void Store::announce(const json& run, const json& attempt) const noexcept {
    try {
        json line = json::object();
        for (const char* key : {"id", "name", "tags", "note", "group", "parent", "cwd", "argv"})
            line[key] = field(run, key);
        for (const char* key :
             {"host", "attempt", "status", "started_at", "ended_at", "duration_s", "exit_code", "signal", "reason"}) {
            line[key] = field(attempt, key);
        }
        if (!line["id"].is_string()) return;
        append_to_feed(line);
    } catch (const std::exception&) {
        return; // the run directory tells the same
    }
}

void Store::announce_values(const std::string& id, int attempt) const noexcept {
    try {
        append_to_feed({{"id", id}, {"attempt", attempt}, {"values", json_of_values(values_of_run(run_dir(id)))}});
    } catch (const std::exception&) {
        return; // likewise
    }
}

void Store::append_to_feed(const json& line) const {
    std::string host = host_name();
    std::replace(host.begin(), host.end(), '/', '_');
    const fs::path feed = dir_ / "feed" / (host + ".jsonl");
    const std::string text = line.dump(-1, ' ', false, json::error_handler_t::replace);
    if (!is_directory_at(feed.parent_path())) make_directories(feed.parent_path());
    append_line(feed, text);
}

int newest_attempt(const fs::path& run_dir) {
    int newest = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir((run_dir / "attempts").c_str()), ::closedir};
    if (!entries) return newest;
    while (const dirent* entry = ::readdir(entries.get())) {
        const char* end = entry->d_name + std::strlen(entry->d_name);
        int number = 0;
        const auto [parsed, error] = std::from_chars(entry->d_name, end, number);
        if (error == std::errc{} && parsed == end) newest = std::max(newest, number);
    }
    return newest;
}

} // namespace poster
