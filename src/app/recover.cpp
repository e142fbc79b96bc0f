#include "recover.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <vector>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <host.hpp>
#include <process.hpp>
#include <records.hpp>
#include <recovery.hpp>

#include "background_sync.hpp"
#include "queue.hpp"

namespace poster {

namespace {

using nlohmann::json;

fs::path attempt_dir(const Store& store, const Abandoned& run) {
    return store.attempt_dir(run.id, run.attempt);
}

// Does what can be done at once. True: more is to be done.
bool settle(const Workspace& workspace, Abandoned& run) {
    const Store& store = workspace.store;
    const fs::path dir = attempt_dir(store, run);
    if (!run.has_outcome && !run.child_alive) record_lost(store, run);
    if (run.child_alive) return true;
    const RunSpec spec = spec_from_json(read_json(store.run_dir(run.id) / "run.json").value_or(json::object()));
    // Of one that was fetched the hooks are its own poster's, wherever that is.
    if (!run.fetched && !end_hooks_complete(dir, settings_of(workspace, spec))) return true;
    store.unmark_active(run.id); // also where no callback has an end hook
    release_claim(dir, run.sign);
    return false;
}

Run run_of(const Store& store, const Abandoned& abandoned, const json& attempt) {
    Run run;
    run.id = abandoned.id;
    run.dir = store.run_dir(abandoned.id);
    run.store = store.dir();
    run.attempt = abandoned.attempt;
    run.spec = spec_from_json(read_json(run.dir / "run.json").value_or(json::object()));
    run.child = child_of(attempt).pid;
    run.started_at = parse_iso8601(text_of(attempt, "started_at")).value_or(WallTime{});
    return run;
}

void finish(const Workspace& workspace, Abandoned& abandoned) {
    const Store& store = workspace.store;
    const fs::path dir = attempt_dir(store, abandoned);
    const json attempt = read_json(dir / "attempt.json").value_or(json::object());
    HostJob job;
    job.run = run_of(store, abandoned, attempt);
    if (abandoned.child_alive) {
        const double grace = number_of(attempt, "grace_s").value_or(double(job.run.spec.grace.count()) / 1000);
        end_processes(abandoned.id, job.run.child, Milliseconds{std::llround(grace * 1000)},
                      child_of(attempt).start_ticks);
    }
    const Outcome outcome = record_lost(store, abandoned);
    job.settings = settings_of(workspace, job.run.spec);
    job.queue = [&](const OutboxEntry& entry) { queue_delivery(store, abandoned.id, entry); };
    run_end_hooks(std::move(job), outcome);
    store.announce_values(abandoned.id, abandoned.attempt);
    // Whatever the ledger says: a hook that cannot be noted there must not be fired by every command from now on.
    store.unmark_active(abandoned.id);
    release_claim(dir, abandoned.sign);
    BackgroundSync(workspace, {abandoned.id}).start_last();
}

void restore_signals() {
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void detach(const std::vector<Abandoned>& runs, int ready) {
    ::setsid();
    restore_signals();
    std::vector<int> kept{ready};
    for (const auto& run : runs) {
        if (run.sign.claim) kept.push_back(run.sign.claim.get());
    }
    set_to_null({0, 1, 2});
    close_descriptors_except(std::move(kept)); // among them may be the lock of the caller's own run
    if (::chdir("/") != 0) return;             // it stays where it is
}

[[noreturn]] void work(const Workspace& workspace, std::vector<Abandoned>& runs, Fd ready) {
    detach(runs, ready.get());
    for (const auto& run : runs) {
        try {
            take_over_claim(run.sign);
        } catch (const std::exception&) {
            continue; // a full disk: the claim dies with the parent
        }
    }
    ready.close();
    // First those that only wait for their hooks: ending processes takes their grace period.
    std::stable_partition(runs.begin(), runs.end(), [](const Abandoned& run) { return !run.child_alive; });
    for (auto& run : runs) {
        try {
            finish(workspace, run);
        } catch (const std::exception&) {
            continue; // it stays marked: the next command tries again
        }
    }
    ::_exit(0);
}

bool readable(int fd, Milliseconds limit) {
    pollfd source{fd, POLLIN, 0};
    return fd >= 0 && ::poll(&source, 1, int(limit.count())) > 0;
}

// One process for all: the claims must not be freed before the hooks have run, which may take longer than this command.
void hand_over(const Workspace& workspace, std::vector<Abandoned>& runs, Milliseconds patience) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("create a pipe", errno);
    const Fd taken_over{ends[0]};
    Fd ready{ends[1]};
    const pid_t worker = ::fork();
    if (worker == 0) work(workspace, runs, std::move(ready));
    ready.close();
    if (worker < 0) {
        for (auto& run : runs) release_claim(attempt_dir(workspace.store, run), run.sign);
        return;
    }
    readable(taken_over.get(), Milliseconds{1000}); // until then the claims on shared file systems bear our pid
    const Fd process{int(::syscall(SYS_pidfd_open, worker, 0))};
    if (patience.count() > 0) readable(process.get(), patience);
    ::waitpid(worker, nullptr, WNOHANG);
}

} // namespace

void recover_abandoned_runs(const Workspace& workspace, Milliseconds patience) {
    settle_abandoned_queues(workspace.store);
    std::vector<Abandoned> rest;
    for (auto& run : claim_abandoned(workspace.store)) {
        try {
            if (settle(workspace, run)) rest.push_back(std::move(run));
        } catch (const std::exception&) {
            release_claim(attempt_dir(workspace.store, run), run.sign); // a full disk: the next command tries again
        }
    }
    if (!rest.empty()) hand_over(workspace, rest, patience);
}

} // namespace poster
