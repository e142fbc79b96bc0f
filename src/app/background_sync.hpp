#pragma once
// The deliveries of a run by a process of its own: `poster deliver STORE RUN`, in the background.

#include <sys/types.h>

#include <map>
#include <string>

#include <poster/run.hpp>

#include "workspace.hpp"

namespace poster {

class BackgroundSync {
public:
    BackgroundSync(const Workspace& workspace, std::string run) : workspace_(workspace), run_(std::move(run)) {}

    bool wanted() const; // [sync] mode
    // False: the one before has not ended.
    bool start();
    // The last one of an attempt that has an outbox; it outlives this process. False: nobody wants it. Throws Error.
    bool start_last();
    // For as long as there is reason to: where a scheduler ends what its job leaves behind.
    void wait(const Outcome& outcome) const;

private:
    bool over();
    Milliseconds patience(const Outcome& outcome) const;

    const Workspace& workspace_;
    std::string run_;
    pid_t pid_ = -1;
};

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
