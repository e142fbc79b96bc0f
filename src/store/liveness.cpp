#include "liveness.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>

namespace poster {

namespace {

using nlohmann::json;

// Two machines may bear one name (containers do): a heartbeat this fresh is not a dead machine's.
constexpr double kFreshSeconds = 30;
constexpr std::string_view kClaim = "claim.";

// A pid means nothing outside its name space.
std::string pid_namespace() {
    char name[64];
    const ssize_t length = ::readlink("/proc/self/ns/pid", name, sizeof name);
    return length > 0 ? std::string(name, std::size_t(length)) : std::string{};
}

std::string self_line() {
    return self_record().dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

std::optional<double> age_of(const fs::path& path) {
    struct stat facts{};
    if (::stat(path.c_str(), &facts) != 0) return {};
    const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    return std::max(0.0, now - (double(facts.st_mtim.tv_sec) + double(facts.st_mtim.tv_nsec) / 1e9));
}

enum class Place { same_boot, other_boot, other_host };

Place place_of(const json& record) {
    if (text_of(record, "host") != host_name()) return Place::other_host;
    return text_of(record, "boot_id") == boot_id() ? Place::same_boot : Place::other_boot;
}

bool in_other_namespace(const json& record) {
    const std::string theirs = text_of(record, "pid_namespace");
    return !theirs.empty() && theirs != pid_namespace();
}

// Where nothing can be locked. Another host's run, or one of another container, is never called dead.
Life judge_by_process(const fs::path& attempt_dir, const json& attempt, LifeSign& sign) {
    const Place place = place_of(attempt);
    if (place == Place::other_host) return Life::unknown;
    if (place == Place::other_boot) {
        if (sign.heartbeat_age_s.value_or(kFreshSeconds) < kFreshSeconds) return Life::unknown;
        sign.rebooted = true;
        return Life::dead;
    }
    if (is_alive(owner_of(attempt))) return Life::alive;
    return in_other_namespace(read_json(attempt_dir / "lock").value_or(json{})) ? Life::unknown : Life::dead;
}

// attempts/N/claim.1, claim.2 …: the last one counts. A claim whose owner has died is not replaced, which two could do
// at once, but followed by the next number, which only one can create.
int last_claim(const fs::path& attempt_dir) {
    int last = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(attempt_dir.c_str()), ::closedir};
    if (!entries) return last;
    while (const dirent* entry = ::readdir(entries.get())) {
        const std::string_view name = entry->d_name;
        if (name.substr(0, kClaim.size()) != kClaim) continue;
        int number = 0;
        const auto [end, error] = std::from_chars(name.data() + kClaim.size(), name.data() + name.size(), number);
        if (error == std::errc{} && end == name.data() + name.size()) last = std::max(last, number);
    }
    return last;
}

fs::path claim_path(const fs::path& attempt_dir, int number) {
    return attempt_dir / fmt::format("{}{}", kClaim, number);
}

bool is_stale(const fs::path& claim) {
    const auto record = read_json(claim);
    return record && owner_is_dead(*record); // without: given back this moment
}

} // namespace

json self_record() {
    const ProcessIdentity self = self_identity();
    return {{"host", host_name()},
            {"boot_id", boot_id()},
            {"pid", self.pid},
            {"start_ticks", self.start_ticks},
            {"pid_namespace", pid_namespace()}};
}

bool owner_is_dead(const json& record) {
    switch (place_of(record)) {
    case Place::other_host: return false;
    case Place::other_boot: return true;
    case Place::same_boot: return !in_other_namespace(record) && !is_alive(owner_of(record));
    }
    return false;
}

bool owner_is_alive(const json& record) {
    return place_of(record) == Place::same_boot && is_alive(owner_of(record));
}

Fd lock_attempt(const fs::path& attempt_dir) {
    const fs::path path = attempt_dir / "lock";
    if (on_shared_file_system(attempt_dir)) {
        replace_file(path, self_line());
        return {};
    }
    Fd fd{check_syscall("open " + path.native(), ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600))};
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno == EWOULDBLOCK) throw Error("another poster holds " + attempt_dir.native());
    return {}; // no locks on this file system: its owner is known by pid
}

bool was_fetched(const fs::path& attempt_dir) {
    return ::access((attempt_dir / "lock").c_str(), F_OK) != 0 && errno == ENOENT;
}

void beat(const fs::path& attempt_dir) noexcept {
    try {
        const Fd fd{::open((attempt_dir / "heartbeat").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
        if (!fd) return;
        const std::string line = iso8601(wall_now()) + '\n';
        if (::pwrite(fd.get(), line.data(), line.size(), 0) < 0) return; // always of the same length: nothing to cut
    } catch (const std::exception&) {
        return; // the next one comes soon
    }
}

LifeSign look_for_life(const fs::path& attempt_dir, const json& attempt) {
    LifeSign sign;
    sign.heartbeat_age_s = age_of(attempt_dir / "heartbeat");
    if (!sign.heartbeat_age_s) sign.heartbeat_age_s = age_of(attempt_dir / "attempt.json");
    if (on_shared_file_system(attempt_dir)) {
        sign.life = judge_by_process(attempt_dir, attempt, sign);
        return sign;
    }
    Fd lock{::open((attempt_dir / "lock").c_str(), O_RDONLY | O_CLOEXEC)};
    const int error = !lock ? errno : ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 ? errno : 0;
    if (error != 0) { // but for EWOULDBLOCK: copied without its lock, or no locks on this file system
        sign.life = error == EWOULDBLOCK ? Life::alive : judge_by_process(attempt_dir, attempt, sign);
        return sign;
    }
    const bool same_boot = text_of(attempt, "boot_id") == boot_id();
    if (same_boot && is_alive(owner_of(attempt))) {
        sign.life = Life::alive; // a copy of a running run's directory: its lock is another file
        return sign;
    }
    sign.life = Life::dead;
    sign.rebooted = !same_boot;
    sign.claim = std::move(lock);
    return sign;
}

bool claim_attempt(const fs::path& attempt_dir, LifeSign& sign) {
    if (sign.life != Life::dead) return false;
    if (sign.claim) return true;
    const int last = last_claim(attempt_dir);
    if (last > 0 && !is_stale(claim_path(attempt_dir, last))) return false;
    const fs::path path = claim_path(attempt_dir, last + 1);
    if (!create_alone(path, self_line())) return false; // nobody may see a claim that does not say yet whose it is
    if (last > 0 && !is_stale(claim_path(attempt_dir, last))) { // given back, and perhaps taken again, meanwhile
        ::unlink(path.c_str());
        return false;
    }
    sign.claim_file = path;
    return true;
}

void take_over_claim(const LifeSign& sign) {
    if (!sign.claim_file.empty()) replace_file(sign.claim_file, self_line());
}

void release_claim(const fs::path& attempt_dir, LifeSign& sign) noexcept {
    sign.claim.close();
    if (sign.claim_file.empty()) return;
    try {
        // From the oldest on: as long as one is there, it is the newest, ours.
        for (int number = 1; number <= last_claim(attempt_dir); ++number)
            ::unlink(claim_path(attempt_dir, number).c_str());
        sign.claim_file.clear();
    } catch (const std::exception&) {
        return; // a claim left behind is stale as soon as this process has ended
    }
}

} // namespace poster
