#include "attempt.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include <client_files.hpp>
#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <liveness.hpp>
#include <process.hpp>
#include <records.hpp>
#include <redact.hpp>
#include <subprocess.hpp>
#include <text.hpp>

#include "queue.hpp"
#include "stores.hpp"
#include "tracker_environment.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kMostOfProgram = 500; // of its name, in a message
constexpr off_t kReserveBytes = 65'536;
constexpr std::chrono::seconds kTimeToEdit{1}; // nobody tags a shorter run while it is running

json first_record(const std::string& id, const RunSpec& spec, const Workspace& workspace) {
    return new_run_record(id, spec, find_program(spec.argv.front(), spec.cwd), redactor_of(workspace.settings));
}

// False: another poster has just made it.
bool claim_directory(const fs::path& attempt_dir) {
    make_directories(attempt_dir.parent_path());
    if (::mkdir(attempt_dir.c_str(), 0700) == 0) return true;
    if (errno == EEXIST) return false;
    throw_errno("create " + attempt_dir.native(), errno);
}

// A run within a run: the same files, of another store, are there already.
fs::path client_of_outer_run() {
    const char* list = std::getenv("PYTHONPATH");
    for (const auto& element : split(list == nullptr ? "" : list, ':'))
        if (element.ends_with("/client/" + client_digest()) && ::access(element.c_str(), X_OK) == 0) return element;
    return {};
}

} // namespace

std::string make_queued_run(const Workspace& workspace, const RunSpec& spec, Queue& queue) {
    const Store& store = workspace.store;
    std::string id = store.new_queued_run(wall_now());
    queue.add(id);
    json record = first_record(id, spec, workspace);
    write_json(store.run_dir(id) / "run.json", record);
    store.announce(record, {{"host", record["host"]},
                            {"attempt", 0},
                            {"status", std::string(to_string(Status::queued))},
                            {"started_at", record["created_at"]}});
    return id;
}

void record_never_started(const Store& store, const std::string& id, Status status, const std::string& reason) {
    const fs::path dir = store.run_dir(id);
    if (!claim_directory(dir / "attempts" / "1")) return;
    Outcome outcome;
    outcome.status = status;
    outcome.reason = reason;
    outcome.ended_at = wall_now();
    json attempt = new_attempt_record(1, {});
    attempt["started_at"] = nullptr;
    put_outcome(attempt, outcome);
    write_json(dir / "attempts" / "1" / "attempt.json", attempt);
    json run = read_json(dir / "run.json").value_or(json::object());
    store.announce(run, attempt);
}

Attempt::Attempt(const Workspace& workspace, AttemptPlan plan)
    : workspace_(workspace), resumed_(plan.resumed), has_launcher_(plan.has_launcher) {
    const Store& store = workspace.store;
    run_.started_at = wall_now();
    run_.store = store.dir();
    run_.attempt = plan.number;
    run_.spec = std::move(plan.spec);
    if (plan.id.empty()) {
        ensure_store(store);
        run_.id = store.new_run(run_.started_at);
    } else {
        run_.id = plan.id;
        store.mark_active(run_.id);
    }
    run_.dir = store.run_dir(run_.id);
    make_directory();
    make_directories(events_dir());
    make_directories(files_dir());
    lock_ = lock_attempt(run_.attempt_dir());
    reserve_space();
    attempt_record_ = new_attempt_record(run_.attempt, run_.spec);
    if (resumed_) attempt_record_["argv"] = redactor_of(workspace.settings).arguments(run_.spec.argv);
    write_run_record(!plan.id.empty());
    write_json(attempt_file(), attempt_record_);
    // A recovery that saw only the attempt before may have taken the mark away meanwhile.
    if (!plan.id.empty()) store.mark_active(run_.id);
    store.announce(run_record_, attempt_record_);
}

void Attempt::make_directory() {
    if (claim_directory(run_.attempt_dir())) return;
    throw Error(fmt::format("another poster has just begun attempt {} of run {}", run_.attempt, run_.id),
                fmt::format("poster logs -f {} follows it", run_.id));
}

void Attempt::write_run_record(bool was_queued) {
    const fs::path file = run_.dir / "run.json";
    if (resumed_) {
        run_record_ = read_json(file).value_or(json::object());
        if (run_record_.is_object() && run_record_.contains("id")) return;
    }
    run_record_ = first_record(run_.id, run_.spec, workspace_);
    if (was_queued)
        if (std::string created = text_of(read_json(file).value_or(json{}), "created_at"); !created.empty())
            run_record_["created_at"] = created;
    write_json(file, run_record_);
}

std::vector<std::string> Attempt::environment() const {
    std::vector<std::string> all{"POSTER_RUN_ID=" + run_.id,
                                 "POSTER_RUN_NAME=" + run_.spec.name,
                                 "POSTER_RUN_DIR=" + run_.dir.string(),
                                 "POSTER_STORE_DIR=" + run_.store.string(),
                                 "POSTER_ATTEMPT=" + std::to_string(run_.attempt),
                                 "POSTER_EVENTS_DIR=" + events_dir().string(),
                                 "POSTER_FILES_DIR=" + files_dir().string(),
                                 run_.spec.group.empty() ? "POSTER_GROUP" : "POSTER_GROUP=" + run_.spec.group,
                                 resumed_ ? "POSTER_RESUMED=1" : "POSTER_RESUMED"};
    const fs::path client = install_client_for_child();
    all.push_back(!client.empty() && workspace_.settings.flag("capture.python") ? "POSTER_CAPTURE=1"
                                                                                : "POSTER_CAPTURE");
    if (!client.empty()) all.push_back("PYTHONPATH+=" + client.native());
    for (auto& variable : tracker_environment(workspace_.settings, run_, run_record_))
        all.push_back(std::move(variable));
    return all;
}

// Where `import poster` finds the client; empty: nowhere.
fs::path Attempt::install_client_for_child() const {
    if (!workspace_.settings.flag("client.python_path")) return {};
    if (auto folder = client_of_outer_run(); !folder.empty()) return folder;
    try {
        fs::path folder = install_client(run_.store / "client");
        return folder.native().find(':') == std::string::npos ? folder : fs::path{}; // it would be two folders
    } catch (const Error&) {
        return {}; // a program that logs does without; the run itself is not in danger
    }
}

void Attempt::child_started(pid_t child) {
    attempt_record_["child_pid"] = child;
    attempt_record_["child_start_ticks"] = start_ticks(child).value_or(0);
    store_record(false);
}

std::string Attempt::record(Outcome& outcome, int exec_error) {
    Redactor redactor = redactor_of(workspace_.settings);
    outcome.error = redactor.text(outcome.error);
    if (outcome.sender) outcome.sender->command = redactor.text(outcome.sender->command);
    if (exec_error != 0) {
        const std::string program = redactor.arguments({run_.spec.argv.front()}).front();
        outcome.reason =
            fmt::format("could not be started: {}: {}", shorten(program, kMostOfProgram), std::strerror(exec_error));
    } else if (outcome.reason.empty()) {
        outcome.reason = describe(outcome, run_.spec.timeout);
    }
    // By the clock that does not jump.
    auto since = std::chrono::steady_clock::now() - created_;
    outcome.ended_at = run_.started_at + std::chrono::duration_cast<Milliseconds>(since);
    put_outcome(attempt_record_, outcome);
    reserve_.close();
    store_record(outcome.duration > std::chrono::seconds(1));
    if (outcome.duration > kTimeToEdit) reload_run_record();
    workspace_.store.announce(run_record_, attempt_record_);
    return attempt_record_.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Its tags and its note may have been changed meanwhile.
void Attempt::reload_run_record() {
    auto now = read_json(run_.dir / "run.json");
    if (now && now->is_object() && now->contains("id")) run_record_ = std::move(*now);
}

void Attempt::could_not_start(const std::string& why) {
    Outcome outcome;
    outcome.status = Status::failed;
    outcome.exit_code = kOwnFailure;
    outcome.reason = "poster could not start it: " + why;
    outcome.ended_at = wall_now();
    put_outcome(attempt_record_, outcome);
    store_record(false);
    workspace_.store.announce(run_record_, attempt_record_);
    workspace_.store.unmark_active(run_.id);
}

// A nameless file that is given back for the last record: a disk that is full by then still takes it.
void Attempt::reserve_space() {
    reserve_ = Fd(::open(run_.attempt_dir().c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    if (reserve_ && ::fallocate(reserve_.get(), 0, 0, kReserveBytes) != 0) reserve_.close();
}

void Attempt::store_record(bool to_disk) {
    try {
        write_json(attempt_file(), attempt_record_, to_disk);
    } catch (const std::exception& error) {
        if (!warned_) say(fmt::format("warning: the run cannot be recorded: {}", error.what()));
        warned_ = true;
    }
}

} // namespace poster
