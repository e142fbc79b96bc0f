#pragma once
// The deliveries of a run by a process of its own: `poster deliver STORE RUN`, in the background.

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fd.hpp>
#include <poster/run.hpp>

#include "workspace.hpp"

namespace poster {

class BackgroundSync {
public:
    BackgroundSync(const Workspace& workspace, std::vector<std::string> runs)
        : workspace_(workspace), runs_(std::move(runs)) {}

    bool wanted() const; // [sync] mode
    // False: the one before has not ended.
    bool start();
    // The last one, of those runs that have an outbox; it outlives this process. False: nobody wants it. Throws Error.
    bool start_last();
    Fd process() const; // a descriptor of the one that was started last, which poll() finds readable when it has ended

private:
    bool over();

    const Workspace& workspace_;
    std::vector<std::string> runs_;
    pid_t pid_ = -1;
};

// How long the last delivery is waited for: not at all, but where a scheduler ends what its job leaves behind. `grace`:
// a signal asked for the end, and that is what it leaves.
Milliseconds patience_at_end(const Settings& settings, std::optional<Milliseconds> grace);

// Into the outbox of a run, which is marked as having something to deliver. Throws Error.
void queue_delivery(const Store& store, const std::string& run, const OutboxEntry& entry);

// The runs of a store with something that waits, read once.
class UndeliveredRuns {
public:
    explicit UndeliveredRuns(const Store& store);
    // "2 messages, 31 files", "soon" where nobody has tried yet; empty: nothing waits.
    std::string words_of(const std::string& run) const;

private:
    std::map<std::string, std::string> words_;
};

// Says once what could not be delivered, and how it can be. For commands that people read.
void tell_undelivered(const Store& store);

} // namespace poster
