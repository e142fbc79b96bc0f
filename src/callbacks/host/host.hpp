#pragma once
// The callback host: the one process beside the supervisor. Its main thread is a signalfd-and-socket loop that never
// blocks: it tells group signals to the supervisor at once (the canary) and notices the supervisor's death (the
// guardian). Each callback has a thread of its own, a queue of hooks, and a time budget for each hook.
//
// The ledger attempts/N/hooks.jsonl says which hook of which callback began, was done, failed, or ran out of time. A
// new host for the same attempt (the first one died) runs what is not in it, and goes by Ledger::settle_begun for what
// began and never ended.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fd.hpp>
#include <link.hpp>
#include <poster/callback.hpp>

namespace poster {

// What goes on after a run's end, and how long the host waits for it; none: not at all.
struct LastDelivery {
    Fd process; // readable when it has ended
    Milliseconds limit{0};
};

struct HostJob {
    Run run; // its functions are filled in by the host
    Settings settings;
    Fd link;              // to the supervisor; none in recovery
    int sealed_spec = -1; // memory file that takes the spec as JSON when a prepare hook changed it
    SharedPage* page = nullptr;
    std::function<void()> heartbeat;               // every 10 s from the main loop
    std::function<void(const OutboxEntry&)> queue; // into the outbox; from any thread, throws Error
    // Delivers what is queued, in another process. False: the one before is still at it. Empty: nobody wants it.
    std::function<bool()> deliver;
    Milliseconds deliver_every{60'000}; // where copies of the run are kept somewhere
    // The supervisor was killed: ends the child, records and returns the outcome. nullopt: another process does all
    // that.
    std::function<std::optional<Outcome>()> end_orphaned_run;
    // After the last end hook, before `done` is sent.
    std::function<LastDelivery(bool all_hooks_ended, const Outcome& outcome)> finished;
};

// Runs in the forked child until the end hooks are done; returns its exit status. Signals are blocked by the caller.
int run_callback_host(HostJob job);
// Recovery: only the end hooks that the ledger lacks.
void run_end_hooks(HostJob job, const Outcome& outcome);
// True if every active callback's end hook is in the ledger as ended (done, failed or out of time), but for those that
// the run is too short for.
bool end_hooks_complete(const std::filesystem::path& attempt_dir, const Settings& settings);
bool any_callback_prepares(const Settings& settings);

} // namespace poster
