#pragma once
// The end of a multirun, for the callbacks that make something of it as a whole.

#include <poster/group_outcome.hpp>

#include "attempt.hpp"
#include "workspace.hpp"

namespace poster {

// `last`: the run whose outbox takes what they have to tell, which is delivered like that of a run that ends.
void run_group_end_hooks(const Workspace& workspace, const AttemptPlan& last, const GroupOutcome& outcome);

} // namespace poster
