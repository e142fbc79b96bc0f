#pragma once
// The interface of a callback: one class in one file under src/callbacks/, one line in callbacks.def.
//
// prepare → start → step/event … → end; end exactly once per attempt, whatever killed it. on_prepare runs before the
// child exists; all other hooks run beside it, each callback on a thread of its own, in the callback host process.
// A hook that throws is recorded and harms nobody else; one that hangs costs its own time budget only.

#include <memory>
#include <string>
#include <vector>

#include <poster/event.hpp>
#include <poster/run.hpp>
#include <poster/settings.hpp>

namespace poster {

// What became of one delivery.
struct Delivery {
    enum class State { delivered, retry, failed } state = State::failed;
    std::string receipt; // the remote's: an ETag, a message id
    std::string error;
};

// One remote effect that waits in the run's outbox.
struct OutboxEntry {
    std::string key; // idempotency key
    std::string callback;
    std::string kind;
    std::filesystem::path file; // relative to the run directory; empty: none
    std::string payload;
};

class Callback {
public:
    virtual ~Callback() = default;

    // May rewrite argv, environment and cwd; the spec is sealed afterwards. Only called where the entry says
    // `prepares`.
    virtual void on_prepare(RunSpec&) {}
    virtual void on_start(const Run&) {}
    virtual void on_step(const Step&) {}
    virtual void on_event(const Event&) {}
    // Called every interval() while the child runs; zero: never.
    virtual void on_tick(const Run&) {}
    virtual Milliseconds interval() const { return Milliseconds{0}; }
    // Exactly once per attempt. Work unfinished at the deadline belongs into the outbox.
    virtual void on_end(const Run&, const Outcome&, Deadline) {}
    // The remote half, only in `poster sync`; idempotent.
    virtual Delivery deliver(const OutboxEntry&, Deadline) { return {}; }
};

// On or off, and why.
struct Activation {
    bool on = false;
    std::string reason;
};

// A line of the registry, defined once in the callback's own file.
struct CallbackEntry {
    std::string name;
    std::string help;
    std::vector<Option> options;
    bool prepares = false;     // has an on_prepare
    bool reads_events = false; // has an on_step or on_event
    Activation (*activate)(const Settings&);
    std::unique_ptr<Callback> (*create)(const Settings&);
};

} // namespace poster
