#pragma once
// The interface of a callback: one class in one file under src/callbacks/, one line in callbacks.def.
//
// prepare → start → step/event … → end; end exactly once per attempt, whatever killed it. on_prepare runs before the
// child exists; all other hooks run beside it, each callback on a thread of its own, in the callback host process. One
// without a start hook is made a moment later, so that a run of a few milliseconds does not wait for its thread.
// A hook that throws is recorded and harms nobody else; one that hangs costs its own time budget only.

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <poster/event.hpp>
#include <poster/remote.hpp>
#include <poster/run.hpp>
#include <poster/settings.hpp>

namespace poster {

struct GroupOutcome; // poster/group_outcome.hpp

class Callback {
public:
    virtual ~Callback() = default;

    // May rewrite argv, environment and cwd; the spec is sealed afterwards. On an object of its own.
    virtual void on_prepare(RunSpec&) {}
    virtual void on_start(const Run&) {}
    // What is logged: each event, then those of the last moment together. A callback that is made anew, since the host
    // or a hook of it was given up, is handed all of the attempt's events again.
    virtual void on_event(const Run&, const Event&) {}
    virtual void on_step(const Run&, const Step&) {}
    // Which kinds of events it is called for: passing over a metric costs a tenth of handing it on.
    virtual bool wants(std::string_view /*kind*/) const { return true; }
    // Called every interval() while the child runs; zero: never.
    virtual void on_tick(const Run&) {}
    virtual Milliseconds interval() const { return Milliseconds{0}; }
    // Exactly once per attempt, of those that are not shorter than the class's kShortestRun. What a hook has for others
    // it leaves in the outbox: Run::queue.
    virtual void on_end(const Run&, const Outcome&, Deadline) {}
    // In the launcher, when all runs of a multirun are over; `run` is the last of them in their order. A launcher that
    // is killed never gets there.
    virtual void on_group_end(const Run& /*run*/, const GroupOutcome&) {}

    // The remote half, in `poster sync` and its kind only; what these throw counts as Delivery::State::retry.
    // One message of the outbox. Of one run they are handed over one after the other, in the order of their queueing.
    virtual Delivery deliver(const Run&, const OutboxEntry&, Deadline) { return {}; }
    // Where copies of run directories go. Nothing is contacted or loaded before it is used.
    virtual std::unique_ptr<Remote> remote() { return nullptr; }
};

// On or off, and why.
struct Activation {
    bool on = false;
    std::string reason;
};

// Which hooks a callback has: the others are never called for it.
struct Hooks {
    bool prepare = false, start = false, events = false, tick = false, end = false, group_end = false;
    bool deliver = false, remote = false;
};

// A line of the registry, defined once in the callback's own file with `callback_entry<Type>(…)`.
struct CallbackEntry {
    std::string name;
    std::string help;
    std::vector<Option> options;
    Activation (*activate)(const Settings&);
    std::unique_ptr<Callback> (*create)(const Settings&);
    Hooks hooks;
    // It appends to the event log: its end hook is over before those of the others begin, which read the log to its
    // end. A class says so with `static constexpr bool kAddsEvents = true`.
    bool adds_events = false;
    // A run shorter than this has nothing for it: it is not made for one. A class says so with
    // `static constexpr Milliseconds kShortestRun{…}`.
    Milliseconds shortest_run{0};
};

namespace detail {
// The type of &Type::hook names the class that declares it: Callback, unless Type or a base in between overrides it.
template <typename Hook>
inline constexpr bool is_overridden = false;
template <typename Class, typename Result, typename... Arguments>
inline constexpr bool is_overridden<Result (Class::*)(Arguments...)> = !std::is_same_v<Class, Callback>;
} // namespace detail

template <typename Type>
CallbackEntry callback_entry(std::string name, std::string help, std::vector<Option> options,
                             Activation (*activate)(const Settings&)) {
    auto create = [](const Settings& settings) -> std::unique_ptr<Callback> {
        if constexpr (std::is_constructible_v<Type, const Settings&>)
            return std::make_unique<Type>(settings);
        else
            return std::make_unique<Type>();
    };
    Hooks hooks;
    hooks.prepare = detail::is_overridden<decltype(&Type::on_prepare)>;
    hooks.start = detail::is_overridden<decltype(&Type::on_start)>;
    hooks.events = detail::is_overridden<decltype(&Type::on_event)> || detail::is_overridden<decltype(&Type::on_step)>;
    hooks.tick = detail::is_overridden<decltype(&Type::on_tick)>;
    hooks.end = detail::is_overridden<decltype(&Type::on_end)>;
    hooks.group_end = detail::is_overridden<decltype(&Type::on_group_end)>;
    hooks.deliver = detail::is_overridden<decltype(&Type::deliver)>;
    hooks.remote = detail::is_overridden<decltype(&Type::remote)>;
    bool adds_events = false;
    if constexpr (requires { Type::kAddsEvents; }) adds_events = Type::kAddsEvents;
    Milliseconds shortest_run{0};
    if constexpr (requires { Type::kShortestRun; }) shortest_run = Type::kShortestRun;
    return {std::move(name), std::move(help), std::move(options), activate, create, hooks, adds_events, shortest_run};
}

} // namespace poster
