#pragma once
// One attempt of a run in the store: its directory, its two records, its lock, its outcome.

#include <chrono>
#include <string>
#include <vector>

#include <fd.hpp>
#include <nlohmann/json.hpp>
#include <poster/run.hpp>

#include "workspace.hpp"

namespace poster {

// Which attempt is to be made.
struct AttemptPlan {
    RunSpec spec;
    std::string id{}; // empty: of a new run
    int number = 1;
    bool resumed = false;      // `continue`, or a retry: run.json is there already, and stays
    bool has_launcher = false; // which waits for the deliveries of all its runs at once
};

class Queue;

// A run that waits for its turn: its run.json, and no attempt. Throws Error.
std::string make_queued_run(const Workspace& workspace, const RunSpec& spec, Queue& queue);
// The outcome of a run that never got its turn, unless it has one.
void record_never_started(const Store& store, const std::string& id, Status status, const std::string& reason);

class Attempt {
public:
    // Makes the directory and writes the records. Throws Error.
    Attempt(const Workspace& workspace, AttemptPlan plan);

    const Run& run() const { return run_; }
    int lock() const { return lock_.get(); }
    bool has_launcher() const { return has_launcher_; }
    std::vector<std::string> environment() const; // for the child; docs/environment.md describes each

    void child_started(pid_t child);
    // Completes the outcome (reason, time), writes attempt.json and returns its content. Never throws: the child has
    // lived, and poster must end as it did.
    std::string record(Outcome& outcome, int exec_error);
    void could_not_start(const std::string& why);

private:
    void make_directory();
    void write_run_record(bool was_queued);
    void reload_run_record();
    fs::path install_client_for_child() const;
    void reserve_space();
    void store_record(bool to_disk);
    fs::path attempt_file() const { return run_.attempt_dir() / "attempt.json"; }
    fs::path events_dir() const { return run_.attempt_dir() / "events"; }
    fs::path files_dir() const { return run_.dir / "files"; }

    const Workspace& workspace_;
    Run run_;
    bool resumed_, has_launcher_;
    std::chrono::steady_clock::time_point created_ = std::chrono::steady_clock::now(); // with run_.started_at
    Fd lock_, reserve_;
    nlohmann::json run_record_, attempt_record_;
    bool warned_ = false;
};

} // namespace poster
