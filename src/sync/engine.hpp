#pragma once
// `poster sync`: carries out what outboxes hold. Per run and callback under a lease, so that two machines never deliver
// the same; messages one after the other in a process of their own (messages.hpp), copies in a thread per callback
// (copies.hpp). All it learns is in the outbox before anybody is told.

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <poster/callback.hpp>
#include <poster/settings.hpp>
#include <store.hpp>

namespace poster {

// Who is told of it. Called from several threads, one call at a time.
class SyncObserver {
public:
    virtual ~SyncObserver() = default;
    virtual void copies_begin(const std::string& /*run*/, const std::string& /*callback*/,
                              const std::string& /*destination*/, std::size_t /*files*/, std::uint64_t /*bytes*/) {}
    virtual void bytes_moved(const std::string& /*run*/, const std::string& /*callback*/, const std::string& /*path*/,
                             std::uint64_t /*bytes*/) {}
    virtual void file_done(const std::string& run, const std::string& callback, const std::string& path,
                           std::uint64_t bytes, const Delivery& delivery) = 0;
    virtual void copies_end(const std::string& /*run*/, const std::string& /*callback*/,
                            const std::string& /*destination*/, const Delivery& /*delivery*/) {}
    virtual void message_done(const std::string& run, const std::string& callback, const std::string& kind,
                              const Delivery& delivery) = 0;
    // Another process, perhaps on another machine, is at it.
    virtual void held(const std::string& /*run*/, const std::string& /*callback*/) {}
};

struct SyncJob {
    std::vector<std::string> runs;
    std::vector<std::string> callbacks; // empty: all
    bool retry_failed = false;
    bool only_due = false; // leaves alone what is to be tried again later
    int jobs = 10;
    std::function<bool()> cancelled;
};

struct SyncResult {
    std::size_t delivered = 0;        // messages and files
    std::size_t passing = 0;          // which are to be tried again
    std::size_t failed = 0;           // which wait for the user
    std::size_t held = 0;             // another process is at it
    std::optional<WallTime> next_try; // the earliest
};

void add(SyncResult& sum, const SyncResult& more);

// One round. Call it while this process has one thread. What an earlier round left to another process is seen to
// again. Throws Error only where the store itself cannot be read.
SyncResult sync_once(const Store& store, const Settings& settings, const SyncJob& job, SyncObserver& observer);

// Whether anything of this run still waits. Takes it from the list of pending runs where nothing does and the run has
// ended, and writes down there what hinders it where something does.
bool settle_pending(const Store& store, const std::string& id, const Settings& settings);

} // namespace poster
