#include "launch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <host.hpp>
#include <liveness.hpp>
#include <records.hpp>
#include <recovery.hpp>
#include <registry.hpp>

#include "recover.hpp"

namespace poster {

namespace {

using nlohmann::json;

// The supervisor was killed: what its callback host does in its place.
Outcome end_orphaned_run(const Workspace& workspace, const Run& run) {
    auto file = run.attempt_dir() / "attempt.json";
    json record = read_json(file).value_or(json::object());
    if (auto outcome = outcome_from_json(record)) return *outcome;
    pid_t child = record.value("child_pid", 0);
    end_processes(run.id, child, run.spec.grace);
    Outcome outcome;
    outcome.status = Status::killed;
    outcome.ended_at = wall_now();
    outcome.duration = outcome.ended_at - run.started_at;
    outcome.reason =
        fmt::format("poster was killed after {}; it took the command with it", format_duration(outcome.duration));
    put_outcome(record, outcome);
    write_json(file, record, true);
    workspace.store.announce(read_json(run.dir / "run.json").value_or(json::object()), record);
    return outcome;
}

// In a process of its own: neither this run's end nor its speed depends on it.
void recover_others(const Workspace& workspace) {
    if (workspace.store.active_runs().size() <= 1 || ::fork() != 0) return;
    ::setsid();
    ::close_range(3, ~0U, 0); // among them this run's lock
    try {
        recover_abandoned_runs(workspace);
    } catch (const std::exception&) {
        ::_exit(1); // the next command tries again
    }
    ::_exit(0);
}

int host_main(const Workspace& workspace, const Run& run, Fd link, int sealed_spec, SharedPage* page) {
    recover_others(workspace); // here, while there is one thread
    HostJob job;
    job.run = run;
    job.settings = workspace.settings;
    job.link = std::move(link);
    job.sealed_spec = sealed_spec;
    job.page = page;
    job.heartbeat = [&] { beat(run.attempt_dir()); };
    job.end_orphaned_run = [&] { return end_orphaned_run(workspace, run); };
    job.finished = [&](bool all_hooks_ended) {
        if (all_hooks_ended) workspace.store.unmark_active(run.id);
    };
    return run_callback_host(std::move(job));
}

void announce_start(const Announcements& words, const Run& run, const Settings& settings) {
    if (words.quiet) return;
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
    if (ending.cursor_mid_line) write_all(STDERR_FILENO, "\n");
    say(line);
}

} // namespace

Ending launch(Supervisor& supervisor, const Workspace& workspace, AttemptPlan plan, const Announcements& words,
              const std::function<void(const Run&)>& created) {
    Attempt attempt(workspace, std::move(plan));
    if (created) created(attempt.run());
    announce_start(words, attempt.run(), workspace.settings);
    bool started = true;
    SupervisedRun supervised;
    supervised.spec = attempt.run().spec;
    supervised.attempt_dir = attempt.run().attempt_dir();
    supervised.environment = attempt.environment();
    supervised.prepares = any_callback_prepares(workspace.settings);
    supervised.host_keeps = {attempt.lock()};
    supervised.host = [&](Fd link, int sealed_spec, SharedPage* page) {
        return host_main(workspace, attempt.run(), std::move(link), sealed_spec, page);
    };
    supervised.parse_spec = [](const std::string& text) { return spec_from_json(json::parse(text)); };
    supervised.child_started = [&](pid_t child) { attempt.child_started(child); };
    supervised.record_outcome = [&](Outcome& outcome, int exec_error) {
        started = exec_error == 0;
        return attempt.record(outcome, exec_error);
    };
    try {
        Ending ending = supervisor.supervise(supervised);
        announce_end(words, attempt.run(), ending, started);
        return ending;
    } catch (const Error& error) {
        attempt.could_not_start(error.what());
        throw;
    }
}

} // namespace poster
