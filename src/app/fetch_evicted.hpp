#pragma once
// What a command needs of a run and what is not here any more, since `poster gc --delivered` took it away.

#include <string>

#include "workspace.hpp"

namespace poster {

// Brings back what was taken away of that folder of the run; says so on stderr. Nothing is loaded or contacted where
// nothing was. Throws Error where it cannot be brought.
void fetch_evicted(const Workspace& workspace, const std::string& id, const std::string& folder);

} // namespace poster
