// `poster stop`: ends runs exactly as SIGTERM to their poster would, from any shell of that host.

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <liveness.hpp>
#include <orders.hpp>
#include <process.hpp>
#include <records.hpp>

#include "commands.hpp"
#include "reading.hpp"
#include "recover.hpp"

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kPoll = 20ms;
constexpr auto kRecoverEvery = 1s;
constexpr auto kBeyondGrace = 10s;

// A run whose poster has been told to end it.
struct Stopping {
    std::string id;
    fs::path attempt_dir;
    ProcessIdentity poster;
    Milliseconds patience{0};
};

// Does nothing but send, and only to the very process that the record names: the descriptor is taken first, then the
// identity checked, so a pid that was reused meanwhile is never hit.
bool send_term(ProcessIdentity who, int value) {
    Fd process{int(::syscall(SYS_pidfd_open, who.pid, 0))};
    bool has_pidfd = bool(process);
    if (!has_pidfd && errno == ESRCH) return false;
    if (!is_alive(who)) return false;
    siginfo_t info{};
    info.si_signo = SIGTERM;
    info.si_code = SI_QUEUE;
    info.si_pid = ::getpid();
    info.si_uid = ::getuid();
    info.si_value.sival_int = value;
    int result = has_pidfd ? int(::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, &info, 0))
                           : ::sigqueue(who.pid, SIGTERM, info.si_value);
    if (result == 0) return true;
    if (errno == ESRCH) return false;
    if (errno == EPERM)
        throw Error(fmt::format("not permitted to signal its poster (pid {})", who.pid),
                    "stop it as the user who started it");
    throw_errno(fmt::format("signal process {}", who.pid), errno);
}

// A stopped supervisor (Ctrl-Z) cannot obey before it goes on.
void wake_if_stopped(pid_t pid) {
    if (is_stopped(pid)) ::kill(pid, SIGCONT);
}

void refuse_other_machines(const std::string& id, const json& attempt) {
    std::string host = text_of(attempt, "host");
    if (host != host_name())
        throw Error(fmt::format("run {} runs on another host, {}", id, host),
                    fmt::format("on {}: poster stop {}", host, id));
    if (text_of(attempt, "boot_id") != boot_id())
        throw Error(fmt::format("run {} began before this machine was restarted; its poster is gone", id),
                    "`poster ls` records how it ended");
}

// nullopt: it had ended already, which has been said.
std::optional<Stopping> begin_to_stop(const RunRow& row, const Workspace& workspace, bool kill) {
    Stopping run;
    run.id = row.id;
    run.attempt_dir = workspace.store.attempt_dir(row.id, row.attempt);
    json attempt = read_json(run.attempt_dir / "attempt.json").value_or(json::object());
    if (!text_of(attempt, "ended_at").empty()) {
        say(fmt::format("run {} has already ended: {}", row.id, text_of(attempt, "reason")));
        return std::nullopt;
    }
    refuse_other_machines(row.id, attempt);
    if (was_fetched(run.attempt_dir))
        throw Error(fmt::format("run {} is a copy here of one that went on", row.id),
                    "stop it in the store where it was started");
    run.poster = owner_of(attempt);
    auto grace = kill ? 0ms : Milliseconds(long(number_of(attempt, "grace_s").value_or(10) * 1000));
    run.patience = grace + kBeyondGrace;
    if (run.poster.pid > 0 && send_term(run.poster, kill ? kKillOrder : 0)) wake_if_stopped(run.poster.pid);
    return run; // its poster gone: what is left of it ends the run, or recovery does
}

std::optional<json> ended_record(const Stopping& run) {
    auto attempt = read_json(run.attempt_dir / "attempt.json");
    if (!attempt || text_of(*attempt, "ended_at").empty()) return std::nullopt;
    return attempt;
}

bool wait_for_end(const Stopping& run, const Workspace& workspace, bool kill) {
    auto now = std::chrono::steady_clock::now();
    auto until = now + run.patience, recover_at = now + kRecoverEvery;
    for (; now < until; now = std::chrono::steady_clock::now()) {
        if (auto attempt = ended_record(run)) {
            say(fmt::format("run {} {}", run.id, text_of(*attempt, "reason")));
            return true;
        }
        if (now >= recover_at && !is_alive(run.poster)) {
            recover_abandoned_runs(workspace);
            recover_at = now + kRecoverEvery;
        }
        std::this_thread::sleep_for(kPoll);
    }
    say(fmt::format("run {} has not ended after {}", run.id, format_duration(run.patience)));
    if (!kill) say(fmt::format("help: poster stop --kill {}", run.id));
    return false;
}

} // namespace

int stop_runs(const StopArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    const auto rows = find_runs(reading, arguments.runs); // all are found before any is touched
    int status = 0;
    std::vector<Stopping> stopping;
    for (const auto& row : rows) {
        try {
            auto run = begin_to_stop(row, reading.workspace, arguments.kill);
            if (run)
                stopping.push_back(std::move(*run));
            else
                status = 1;
        } catch (const Error& error) {
            complain(error);
            status = 1;
        }
    }
    for (const auto& run : stopping)
        if (!wait_for_end(run, reading.workspace, arguments.kill)) status = 1;
    return status;
}

} // namespace poster
