#pragma once
// Copies of run directories at one callback's remote.

#include <poster/callback.hpp>
#include <poster/settings.hpp>
#include <store.hpp>

#include "engine.hpp"

namespace poster {

// Brings the runs of the job up to date there, one after the other; its own share of the result.
// An observer that is safe from any thread.
SyncResult copy_runs(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job,
                     SyncObserver& observer);

} // namespace poster
