#pragma once
// Finds abandoned runs of a store, writes their outcomes and fires their missing end hooks, once.

#include "workspace.hpp"

namespace poster {

// Called by every command that reads the store: outcomes are written before it returns; end hooks (and the ending of
// processes that outlived their poster) go on in a process of their own, waited for at most `patience`. That process is
// forked and runs C++: call this before the caller has threads.
void recover_abandoned_runs(const Workspace& workspace, Milliseconds patience = Milliseconds{1000});

} // namespace poster
