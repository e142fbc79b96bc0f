#pragma once
// From a spec to a living process: the attempt's records, the supervisor, and its callback host.

#include <string>

#include <supervisor.hpp>

#include "attempt.hpp"
#include "workspace.hpp"

namespace poster {

struct Announcements {
    bool quiet = false, verbose = false;
    std::string label{}; // "2/5 ", before the run's id
};

// Runs one attempt to its end. Throws Error where it could not be started.
Ending launch(Supervisor& supervisor, const Workspace& workspace, AttemptPlan plan, const Announcements& words,
              const std::function<void(const Run&)>& created = {});

} // namespace poster
