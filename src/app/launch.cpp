#include "launch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <host.hpp>
#include <liveness.hpp>
#include <process.hpp>
#include <records.hpp>
#include <recovery.hpp>
#include <registry.hpp>

#include "background_sync.hpp"
#include "recover.hpp"

namespace poster {

namespace {

using nlohmann::json;

// The supervisor was killed: its callback host takes its place.
class Guardian {
public:
    Guardian(const Workspace& workspace, const Attempt& attempt)
        : workspace_(workspace), run_(attempt.run()), sync_(workspace, {run_.id}), locked_(attempt.lock() >= 0),
          has_launcher_(attempt.has_launcher()) {}

    BackgroundSync& sync() { return sync_; }

    // nullopt: a recovery was faster, and does it all.
    std::optional<Outcome> end_run() {
        // Where nothing is locked a recovery takes the run for dead as soon as the supervisor is.
        claim_.life = Life::dead;
        if (!locked_ && !claim_attempt(run_.attempt_dir(), claim_)) return std::nullopt;
        auto file = run_.attempt_dir() / "attempt.json";
        json record = read_json(file).value_or(json::object());
        if (auto outcome = outcome_from_json(record)) return outcome;
        const ProcessIdentity child = child_of(record);
        end_processes(run_.id, child.pid, run_.spec.grace, child.start_ticks);
        Outcome outcome;
        outcome.status = Status::killed;
        outcome.ended_at = wall_now();
        outcome.duration = outcome.ended_at - run_.started_at;
        outcome.reason =
            fmt::format("poster was killed after {}; it took the command with it", format_duration(outcome.duration));
        put_outcome(record, outcome);
        store(file, record);
        return outcome;
    }

    LastDelivery finish(bool all_hooks_ended, const Outcome& outcome) {
        workspace_.store.announce_values(run_.id, run_.attempt);
        if (all_hooks_ended && recorded_) workspace_.store.unmark_active(run_.id);
        release_claim(run_.attempt_dir(), claim_);
        try {
            if (!sync_.start_last() || has_launcher_) return {};
        } catch (const Error&) {
            return {}; // a full disk: `poster sync RUN` delivers it
        }
        const auto grace = outcome.received_signal ? std::optional(run_.spec.grace) : std::nullopt;
        return {sync_.process(), patience_at_end(workspace_.settings, grace)};
    }

private:
    // A directory that cannot be written: the end hooks run all the same, and recovery records the outcome later.
    void store(const fs::path& file, const json& record) {
        try {
            write_json(file, record, true);
            workspace_.store.announce(read_json(run_.dir / "run.json").value_or(json::object()), record);
        } catch (const Error&) {
            recorded_ = false;
        }
    }

    const Workspace& workspace_;
    const Run& run_;
    BackgroundSync sync_;
    bool locked_, has_launcher_, recorded_ = true;
    LifeSign claim_;
};

// In a process of its own: neither this run's end nor its speed depends on it.
void recover_others(const Workspace& workspace) {
    if (workspace.store.active_runs().size() <= 1 || ::fork() != 0) return;
    ::setsid();
    close_descriptors_except({}); // among them this run's lock
    try {
        recover_abandoned_runs(workspace);
    } catch (const std::exception&) {
        ::_exit(1); // the next command tries again
    }
    ::_exit(0);
}

int host_main(const Workspace& workspace, const Settings& settings, const Attempt& attempt, Fd link, int sealed_spec,
              SharedPage* page) {
    recover_others(workspace); // here, while there is one thread
    const Run& run = attempt.run();
    Guardian guardian(workspace, attempt);
    HostJob job;
    job.run = run;
    job.settings = settings;
    job.link = std::move(link);
    job.sealed_spec = sealed_spec;
    job.page = page;
    job.heartbeat = [&] { beat(run.attempt_dir()); };
    job.end_orphaned_run = [&] { return guardian.end_run(); };
    job.finished = [&](bool all_hooks_ended, const Outcome& outcome) {
        return guardian.finish(all_hooks_ended, outcome);
    };
    job.queue = [&](const OutboxEntry& entry) { queue_delivery(workspace.store, run.id, entry); };
    if (guardian.sync().wanted()) job.deliver = [&] { return guardian.sync().start(); };
    job.deliver_every = job.settings.duration("sync.interval");
    return run_callback_host(std::move(job));
}

void announce_start(const Announcements& words, const Run& run, const Settings& settings) {
    if (words.quiet) return;
    tell_undelivered(Store{run.store});
    std::string label = run.spec.name.empty() ? run.id : fmt::format("{} ({})", run.id, run.spec.name);
    say(fmt::format("run {}{}{}", words.label, label, run.attempt > 1 ? fmt::format(", attempt {}", run.attempt) : ""));
    if (!words.verbose) return;
    say(fmt::format("directory {}", run.dir.string()));
    for (const auto* entry : registry()) {
        Activation activation = activation_of(*entry, settings);
        say(fmt::format("callback {} is {}: {}", entry->name, activation.on ? "on" : "off", activation.reason));
    }
}

void announce_end(const Announcements& words, const Run& run, const Ending& ending, bool started) {
    if (words.quiet && started) return;
    std::string line = fmt::format("run {} {}", run.id, ending.outcome.reason);
    if (ending.outcome.log_truncated) line += "; its log is incomplete";
    say(line, ending.cursor_mid_line);
}

} // namespace

Ending launch(Supervisor& supervisor, const Workspace& workspace, AttemptPlan plan, const Announcements& words,
              const std::function<void(const Run&)>& created) {
    Attempt attempt(workspace, std::move(plan));
    if (created) created(attempt.run());
    const Settings settings = settings_of(workspace, attempt.run().spec);
    announce_start(words, attempt.run(), settings);
    bool started = true;
    SupervisedRun supervised;
    supervised.spec = attempt.run().spec;
    supervised.attempt_dir = attempt.run().attempt_dir();
    supervised.environment = attempt.environment();
    supervised.prepares = any_callback_prepares(settings);
    supervised.host_keeps = {attempt.lock()};
    supervised.host = [&](Fd link, int sealed_spec, SharedPage* page) {
        return host_main(workspace, settings, attempt, std::move(link), sealed_spec, page);
    };
    supervised.parse_spec = [](const std::string& text) { return spec_from_json(json::parse(text)); };
    supervised.child_started = [&](pid_t child) { attempt.child_started(child); };
    supervised.record_outcome = [&](Outcome& outcome, int exec_error) {
        started = exec_error == 0;
        return attempt.record(outcome, exec_error);
    };
    try {
        Ending ending = supervisor.supervise(supervised);
        announce_end(words, attempt.run(), ending, started && ending.own_failure.empty());
        return ending;
    } catch (const Error& error) {
        attempt.could_not_start(error.what());
        throw;
    }
}

} // namespace poster
