#include "recovery.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>

namespace poster {

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kRunBeingMade = 60s; // an active run without attempt.json: its poster is about to write it
constexpr auto kLookAgain = 50ms;   // for processes that the ending ones have started
constexpr auto kUnkillable = 10s;   // after SIGKILL: in the middle of a dead disk's read, say

std::optional<WallTime> mtime_of(const fs::path& path) {
    struct stat facts{};
    if (::stat(path.c_str(), &facts) != 0) return {};
    return wall_time(facts.st_mtim);
}

// ---- processes

std::set<pid_t> self_and_ancestors() {
    std::set<pid_t> found;
    for (pid_t pid = ::getpid(); pid > 0 && found.insert(pid).second;) {
        const auto sample = sample_process(pid);
        pid = sample ? sample->parent : 0;
    }
    found.insert(1);
    return found;
}

// The run's living processes with their start times, so that no pid can be mistaken later.
std::map<pid_t, std::uint64_t> processes_of(const std::string& run_id, ProcessIdentity child,
                                            const std::set<pid_t>& spared) {
    std::vector<pid_t> roots = processes_with_environment("POSTER_RUN_ID=" + run_id);
    if (child.start_ticks != 0 && is_alive(child)) roots.push_back(child.pid);
    std::map<pid_t, std::uint64_t> found;
    const auto add = [&](pid_t pid) {
        if (spared.contains(pid)) return false;
        const auto ticks = start_ticks(pid);
        return ticks && found.emplace(pid, *ticks).second;
    };
    for (const pid_t root : roots) {
        if (!add(root)) continue;
        for (const pid_t pid : descendants(root)) add(pid);
    }
    return found;
}

// A handle on exactly this process; empty where the kernel has none, or the process is gone.
Fd open_process(ProcessIdentity who) {
    Fd fd{int(::syscall(SYS_pidfd_open, who.pid, 0))};
    return fd && is_alive(who) ? std::move(fd) : Fd{};
}

void send_signal(ProcessIdentity who, int signal) {
    if (const Fd fd = open_process(who)) {
        ::syscall(SYS_pidfd_send_signal, fd.get(), signal, nullptr, 0);
    } else if (is_alive(who)) {
        ::kill(who.pid, signal);
    }
}

// Until one of them ends, at most `longest`.
void wait_for_end(const std::map<pid_t, std::uint64_t>& processes, Clock::duration longest) {
    std::vector<Fd> handles;
    std::vector<pollfd> sources;
    for (const auto& [pid, ticks] : processes) {
        if (Fd fd = open_process({pid, ticks})) {
            sources.push_back({fd.get(), POLLIN, 0});
            handles.push_back(std::move(fd));
        }
    }
    const auto nanoseconds = std::chrono::nanoseconds(std::max<Clock::duration>(longest, 0ns)).count();
    const timespec limit{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
    ::ppoll(sources.data(), nfds_t(sources.size()), &limit, nullptr);
}

// ---- records

// This process was started by the run, or by something that the run started.
bool is_inside(const std::string& id, const json& attempt) {
    if (const char* own = std::getenv("POSTER_RUN_ID"); own && id == own) return true;
    const pid_t child = child_of(attempt).pid;
    return child > 1 && text_of(attempt, "boot_id") == boot_id() && self_and_ancestors().contains(child);
}

// Another user's run is that user's to end: what root wrote there the owner could not read any more.
bool is_ours(const fs::path& attempt_dir) {
    struct stat facts{};
    return ::stat((attempt_dir / "attempt.json").c_str(), &facts) == 0 && facts.st_uid == ::geteuid();
}

// Nothing to read yet: is being made, or its poster died on the first steps.
void look_at_unborn(const Store& store, const std::string& id) {
    const auto marked = mtime_of(store.dir() / "active" / id);
    if (marked && wall_now() - *marked > kRunBeingMade) store.unmark_active(id);
}

std::optional<Abandoned> claim_if_dead(const Store& store, const std::string& id) {
    const int number = newest_attempt(store.run_dir(id));
    const fs::path dir = store.attempt_dir(id, number);
    auto attempt = number > 0 ? read_json(dir / "attempt.json") : std::nullopt;
    if (!attempt) {
        look_at_unborn(store, id);
        return {};
    }
    if (is_inside(id, *attempt) || !is_ours(dir)) return {};
    Abandoned run;
    run.id = id;
    run.attempt = number;
    run.sign = look_for_life(dir, *attempt);
    if (run.sign.life != Life::dead || !claim_attempt(dir, run.sign)) return {};
    // Between the look at active/ and the claim its poster may have come to its end, or another recovery.
    attempt = read_json(dir / "attempt.json");
    if (!attempt || ::access((store.dir() / "active" / id).c_str(), F_OK) != 0) {
        release_claim(dir, run.sign);
        return {};
    }
    run.has_outcome = outcome_from_json(*attempt).has_value();
    run.fetched = was_fetched(dir);
    // What a run with an outcome has left behind, it has left on purpose.
    if (!run.has_outcome && !run.sign.rebooted && !run.fetched)
        run.child_alive = !processes_of(id, child_of(*attempt), self_and_ancestors()).empty();
    return run;
}

WallTime last_sign_of_life(const fs::path& attempt_dir, WallTime started) {
    WallTime last = started;
    for (const char* file : {"heartbeat", "output.log"}) {
        if (const auto time = mtime_of(attempt_dir / file)) last = std::max(last, *time);
    }
    return std::min(last, std::max(started, wall_now()));
}

std::string reason_of(const Abandoned& run, const json& attempt) {
    if (run.fetched) return "lost: it went on when this copy of it was made";
    std::string reason = run.sign.rebooted ? "lost: the machine was restarted" : "lost: poster was killed";
    if (child_of(attempt).pid == 0) reason += " before the command started";
    return reason;
}

} // namespace

std::vector<Abandoned> claim_abandoned(const Store& store) {
    std::vector<Abandoned> claimed;
    const auto ids = store.active_runs();
    // Who may not write here cannot finish anything either.
    if (ids.empty() || ::access((store.dir() / "active").c_str(), W_OK) != 0) return claimed;
    for (const auto& id : ids) {
        try {
            if (auto run = claim_if_dead(store, id)) claimed.push_back(std::move(*run));
        } catch (const std::exception&) {
            continue; // unreadable, or deleted this moment: the others are looked at all the same
        }
    }
    return claimed;
}

void end_processes(const std::string& run_id, pid_t child, Milliseconds grace, std::uint64_t child_start_ticks) {
    const std::set<pid_t> spared = self_and_ancestors();
    const auto kill_at = Clock::now() + grace;
    const auto give_up_at = kill_at + kUnkillable;
    std::map<pid_t, std::uint64_t> told;
    for (;;) {
        auto found = processes_of(run_id, {child, child_start_ticks}, spared);
        for (const auto& [pid, ticks] : told) { // also those whose parent has ended: nothing leads to them any more
            if (is_alive({pid, ticks})) found.emplace(pid, ticks);
        }
        const auto now = Clock::now();
        if (found.empty() || now >= give_up_at) return;
        for (const auto& [pid, ticks] : found) {
            const bool is_new = told.emplace(pid, ticks).second;
            if (now >= kill_at) {
                send_signal({pid, ticks}, SIGKILL);
            } else if (is_new) {
                send_signal({pid, ticks}, SIGTERM);
                send_signal({pid, ticks}, SIGCONT);
            }
        }
        wait_for_end(found, std::min<Clock::duration>(kLookAgain, now < kill_at ? kill_at - now : kLookAgain));
    }
}

Outcome record_lost(const Store& store, const Abandoned& run) {
    const fs::path dir = store.attempt_dir(run.id, run.attempt);
    json attempt = read_json(dir / "attempt.json").value_or(json::object());
    json record = read_json(store.run_dir(run.id) / "run.json").value_or(json::object());
    if (!record.is_object()) record = json::object();
    record["id"] = run.id;
    if (const auto outcome = outcome_from_json(attempt)) {
        store.announce(record, attempt);
        return *outcome;
    }
    Outcome outcome;
    outcome.status = Status::lost;
    const auto started = parse_iso8601(text_of(attempt, "started_at"));
    outcome.ended_at = last_sign_of_life(dir, started.value_or(mtime_of(dir / "attempt.json").value_or(wall_now())));
    outcome.duration = outcome.ended_at - started.value_or(outcome.ended_at);
    outcome.reason = reason_of(run, attempt);
    put_outcome(attempt, outcome);
    struct stat facts{};
    const bool known = ::stat((dir / "attempt.json").c_str(), &facts) == 0;
    write_json(dir / "attempt.json", attempt, true);
    // No newer than what it was made of: whoever runs it knows better, and this must not replace that anywhere.
    const timespec times[2] = {facts.st_atim, facts.st_mtim};
    if (run.fetched && known) ::utimensat(AT_FDCWD, (dir / "attempt.json").c_str(), times, 0);
    store.announce(record, attempt);
    return outcome;
}

} // namespace poster
