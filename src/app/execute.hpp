#pragma once
// How plans become runs: here, or in a process that outlives the terminal.

#include <vector>

#include "launcher.hpp"

namespace poster {

// Ends this process as the runs ended.
[[noreturn]] void leave_as(const LaunchResult& result);

// Runs them, one in this very process where nothing else is wanted, and ends this process as they ended. `detach`: in
// the background, in a session of its own; the ids are printed on stdout as soon as the runs are in the store.
[[noreturn]] void execute_plans(const Workspace& workspace, std::vector<AttemptPlan> plans, LaunchOptions options,
                                bool detach);

} // namespace poster
