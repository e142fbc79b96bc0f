#pragma once
// `poster gc --delivered` and `--remote`: what a remote has is deleted here, and what broken uploads left there.

#include "commands.hpp"
#include "workspace.hpp"

namespace poster {

// Says what it does, or would do without --yes. 1 where something had to stay.
int collect_delivered(const Workspace& workspace, const CollectArguments& arguments);

} // namespace poster
