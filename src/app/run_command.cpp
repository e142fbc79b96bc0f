// `poster run`: from arguments to a spec, from the spec to a run directory, then the supervisor and its callback host.

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <host.hpp>
#include <process.hpp>
#include <records.hpp>
#include <recovery.hpp>
#include <redact.hpp>
#include <registry.hpp>
#include <subprocess.hpp>
#include <supervisor.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "recover.hpp"
#include "workspace.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr off_t kReserveBytes = 65'536;

std::pair<std::string, std::string> parse_assignment(const std::string& word) {
    auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError(fmt::format("--env wants NAME=VALUE, not '{}'", word));
    return {word.substr(0, equals), word.substr(equals + 1)};
}

Milliseconds parse_duration_option(const std::string& option, const std::string& word) {
    auto duration = parse_duration(word);
    if (!duration)
        throw UsageError(fmt::format("{} wants a duration such as 90, 30s, 15m or 1h30m, not '{}'", option, word));
    return *duration;
}

fs::path working_directory(const RunArguments& arguments, const fs::path& cwd) {
    std::error_code gone;
    if (!arguments.cwd) return fs::is_directory(cwd, gone) ? cwd : fs::path{}; // deleted: the child stays in it, too
    fs::path wanted = (cwd / *arguments.cwd).lexically_normal();
    std::error_code failure;
    if (!fs::is_directory(wanted, failure))
        throw Error(fmt::format("cannot run in '{}': it is not a directory", *arguments.cwd));
    return wanted;
}

RunSpec make_spec(const RunArguments& arguments, const Workspace& workspace) {
    RunSpec spec;
    spec.argv = arguments.command;
    spec.cwd = working_directory(arguments, workspace.cwd);
    for (const auto& word : arguments.environment) spec.environment.push_back(parse_assignment(word));
    spec.name = arguments.name;
    spec.tags = arguments.tags;
    spec.note = arguments.note;
    const auto& settings = workspace.settings;
    std::string timeout = arguments.timeout.value_or(settings.text("run.timeout"));
    if (!timeout.empty()) spec.timeout = parse_duration_option("--timeout", timeout);
    spec.grace = arguments.grace ? parse_duration_option("--grace", *arguments.grace) : settings.duration("run.grace");
    return spec;
}

Redactor redactor_of(const Settings& settings) {
    return Redactor(settings.list("capture.redact"), settings.list("capture.keep"));
}

// One attempt in the store: its directory, its two records, its lock.
class Attempt {
public:
    Attempt(const Workspace& workspace, const RunSpec& spec) : workspace_(workspace), spec_(spec) {
        const Store& store = workspace.store;
        store.create();
        WallTime now = wall_now();
        run_.id = store.new_run(now);
        run_.dir = store.run_dir(run_.id);
        run_.store = store.dir();
        run_.spec = spec;
        run_.started_at = now;
        make_directories(events_dir());
        make_directories(files_dir());
        lock_ = lock_attempt(run_.attempt_dir());
        reserve_space();
        run_record_ =
            new_run_record(run_.id, spec, find_program(spec.argv.front(), spec.cwd), redactor_of(workspace.settings));
        attempt_record_ = new_attempt_record(run_.attempt, spec);
        write_json(run_.dir / "run.json", run_record_);
        write_json(attempt_file(), attempt_record_);
        store.announce(run_record_, attempt_record_);
    }

    const Run& run() const { return run_; }
    int lock() const { return lock_.get(); }
    fs::path events_dir() const { return run_.attempt_dir() / "events"; }
    fs::path files_dir() const { return run_.dir / "files"; }

    // docs/environment.md describes each.
    std::vector<std::string> environment() const {
        return {"POSTER_RUN_ID=" + run_.id,
                "POSTER_RUN_NAME=" + spec_.name,
                "POSTER_RUN_DIR=" + run_.dir.string(),
                "POSTER_STORE_DIR=" + run_.store.string(),
                "POSTER_ATTEMPT=" + std::to_string(run_.attempt),
                "POSTER_EVENTS_DIR=" + events_dir().string(),
                "POSTER_FILES_DIR=" + files_dir().string()};
    }

    void child_started(pid_t child) {
        attempt_record_["child_pid"] = child;
        attempt_record_["child_start_ticks"] = start_ticks(child).value_or(0);
        store_record(false);
    }

    // Never throws: the child has lived, and poster must end as it did.
    std::string record(Outcome& outcome, int exec_error) {
        Redactor redactor = redactor_of(workspace_.settings);
        outcome.error = redactor.text(outcome.error);
        if (outcome.sender) outcome.sender->command = redactor.text(outcome.sender->command);
        outcome.reason = exec_error == 0 ? describe(outcome, spec_.timeout)
                                         : fmt::format("could not be started: {}: {}", spec_.argv.front(),
                                                       std::strerror(exec_error));
        outcome.ended_at = run_.started_at + outcome.duration; // by the clock that does not jump
        put_outcome(attempt_record_, outcome);
        reserve_.close();
        store_record(outcome.duration > std::chrono::seconds(1));
        workspace_.store.announce(run_record_, attempt_record_);
        return attempt_record_.dump(-1, ' ', false, json::error_handler_t::replace);
    }

    void could_not_start(const std::string& why) {
        Outcome outcome;
        outcome.status = Status::failed;
        outcome.exit_code = 125;
        outcome.reason = "poster could not start it: " + why;
        outcome.ended_at = wall_now();
        put_outcome(attempt_record_, outcome);
        store_record(false);
        workspace_.store.announce(run_record_, attempt_record_);
        workspace_.store.unmark_active(run_.id);
    }

private:
    fs::path attempt_file() const { return run_.attempt_dir() / "attempt.json"; }

    // A nameless file that is given back for the last record: a disk that is full by then still takes it.
    void reserve_space() {
        reserve_ = Fd(::open(run_.attempt_dir().c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
        if (reserve_ && ::fallocate(reserve_.get(), 0, 0, kReserveBytes) != 0) reserve_.close();
    }

    void store_record(bool to_disk) {
        try {
            write_json(attempt_file(), attempt_record_, to_disk);
        } catch (const std::exception& error) {
            if (!warned_) say(fmt::format("warning: the run cannot be recorded: {}", error.what()));
            warned_ = true;
        }
    }

    const Workspace& workspace_;
    const RunSpec& spec_;
    Run run_;
    Fd lock_, reserve_;
    json run_record_, attempt_record_;
    bool warned_ = false;
};

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

int dry_run(RunSpec spec, const Workspace& workspace) {
    Redactor redactor = redactor_of(workspace.settings);
    std::string callbacks;
    for (const auto* entry : registry()) {
        Activation activation = activation_of(*entry, workspace.settings);
        if (!activation.on) continue;
        if (entry->hooks.prepare) entry->create(workspace.settings)->on_prepare(spec);
        callbacks += fmt::format("  {:<16} {}\n", entry->name, activation.reason);
    }
    std::string text = fmt::format("command:\n  {}\nworking directory:\n  {}\nenvironment changes:\n",
                                   shell_join(redactor.arguments(spec.argv)), spec.cwd.string());
    for (const auto& [name, value] : spec.environment)
        text += fmt::format("  {}={}\n", name, shell_quote(redactor.value(name, value)));
    text += "  POSTER_RUN_ID, POSTER_RUN_DIR, POSTER_ATTEMPT … as docs/environment.md says\n";
    text += fmt::format("store:\n  {}\ncallbacks that are on:\n{}", workspace.store.dir().string(), callbacks);
    return write_all(STDOUT_FILENO, text) ? 0 : 1;
}

void announce_start(const RunArguments& arguments, const Run& run, const Settings& settings) {
    if (arguments.quiet) return;
    std::string label = run.spec.name.empty() ? run.id : fmt::format("{} ({})", run.id, run.spec.name);
    say(fmt::format("run {}", label));
    if (!arguments.verbose) return;
    say(fmt::format("directory {}", run.dir.string()));
    for (const auto* entry : registry()) {
        Activation activation = activation_of(*entry, settings);
        say(fmt::format("callback {} is {}: {}", entry->name, activation.on ? "on" : "off", activation.reason));
    }
}

void announce_end(const RunArguments& arguments, const Run& run, const Ending& ending, bool started) {
    if (arguments.quiet && started) return;
    std::string line = fmt::format("run {} {}", run.id, ending.outcome.reason);
    if (ending.outcome.log_truncated) line += "; its log is incomplete";
    if (ending.cursor_mid_line) write_all(STDERR_FILENO, "\n");
    say(line);
}

} // namespace

int run_command(const RunArguments& arguments) {
    if (arguments.dry_run) {
        Workspace workspace = open_workspace(arguments.store);
        return dry_run(make_spec(arguments, workspace), workspace);
    }
    Supervisor supervisor;
    Workspace workspace = open_workspace(arguments.store);
    RunSpec spec = make_spec(arguments, workspace);
    Attempt attempt(workspace, spec);
    announce_start(arguments, attempt.run(), workspace.settings);

    bool started = true;
    SupervisedRun supervised;
    supervised.spec = spec;
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
        announce_end(arguments, attempt.run(), ending, started);
        supervisor.end(ending);
    } catch (const Error& error) {
        attempt.could_not_start(error.what());
        throw;
    }
}

} // namespace poster
