#pragma once
// Messages: one after the other, by a process of its own that a SIGKILL of `poster sync` does not cut short: a message
// cut off in the middle may have arrived, and nobody could tell.

#include <sys/types.h>

#include <string>
#include <vector>

#include <fd.hpp>
#include <poster/callback.hpp>
#include <poster/settings.hpp>
#include <store.hpp>

#include "engine.hpp"

namespace poster {

class Courier {
public:
    // Forks it; call while there is one thread.
    Courier(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job);
    Courier(Courier&&) noexcept = default;

    // Tells what it did, to its end. True: it ended by itself.
    bool follow(SyncObserver& observer, SyncResult& result);

private:
    std::string callback_;
    pid_t pid_ = -1;
    Fd told_; // lines of JSON, one a message
};

} // namespace poster
