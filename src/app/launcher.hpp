#pragma once
// Several runs from one command line, and further attempts of a run: each in a poster of its own, forked from this
// process, which only starts them, passes signals and output on, and says how it went. docs/commands/run.md tells what
// a user sees of it.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "attempt.hpp"
#include "workspace.hpp"

namespace poster {

struct RetryPolicy {
    int most = 0; // further attempts
    std::vector<Status> on{Status::failed, Status::killed, Status::lost};
    Milliseconds backoff{0};
};

struct LaunchOptions {
    int jobs = 1;
    bool fail_fast = false;
    bool quiet = false, verbose = false;
    std::string queue{};           // its name in the store
    std::vector<std::string> gpus; // shared out among the jobs as CUDA_VISIBLE_DEVICES; empty: left alone
    RetryPolicy retries;
    std::function<void(const std::string& ids)> ready{}; // every run is in the store; a line for each
};

struct LaunchResult {
    std::vector<std::string> runs; // their ids, in the order of the plans
    int exit_code = 0;             // of the first that failed, in that order
    std::optional<int> die_of;     // the signal that it died of
};
// Runs all of them to their end. Throws Error while none has been started.
LaunchResult launch_all(const Workspace& workspace, std::vector<AttemptPlan> plans, const LaunchOptions& options);

} // namespace poster
