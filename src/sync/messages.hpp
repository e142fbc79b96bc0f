#pragma once
// Messages: one after the other, by a process of its own that a SIGKILL of `poster sync` does not cut short: a message
// cut off in the middle may have arrived, and nobody could tell.

#include <sys/types.h>

#include <functional>
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
    // Forks it, for a job of at least one run; call while there is one thread.
    Courier(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job);
    Courier(Courier&&) noexcept = default;

    // Tells what it did, to its end. Where `cancelled` it leaves off after the message under way.
    void follow(const std::function<bool()>& cancelled, SyncObserver& observer, SyncResult& result);

private:
    std::string callback_;
    std::string run_; // it is at
    pid_t pid_ = -1;
    Fd link_; // hears lines of JSON, one a message; its closing, or this process's death, is the word to leave off
};

} // namespace poster
