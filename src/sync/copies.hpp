#pragma once
// Copies of run directories at one callback's remote.

#include <map>
#include <optional>
#include <string>

#include <outbox.hpp>
#include <poster/callback.hpp>
#include <poster/settings.hpp>
#include <store.hpp>

#include "engine.hpp"

namespace poster {

// Brings the runs of the job up to date there, one after the other; its own share of the result.
// An observer that is safe from any thread.
SyncResult copy_runs(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job,
                     SyncObserver& observer);

// The manifest of a run at a remote: what is there of it. Files' paths are foreign input where it was fetched.
struct Manifest {
    std::map<std::string, Copy> files; // by path below the run directory
};
std::string manifest_path(const std::string& run); // at the remote: "runs/ID/manifest.json"
std::string to_json(const Manifest& manifest);
std::string digest_of(const Manifest& manifest);                     // of its JSON, SHA-256
std::optional<Manifest> manifest_from_json(const std::string& text); // nullopt: none of a version that is known

} // namespace poster
