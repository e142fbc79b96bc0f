#pragma once
// One callback with a thread of its own: its hooks in order, each under a time budget, its failures in the ledger.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <poster/callback.hpp>

#include "event_reader.hpp"
#include "ledger.hpp"

namespace poster {

// CallbackEntry::shortest_run. The duration of a lost run says nothing.
bool is_too_short_for(const CallbackEntry& entry, const Outcome& outcome);

class Worker : public std::enable_shared_from_this<Worker> {
public:
    using Clock = std::chrono::steady_clock;

    // `changed` is called from the worker's thread whenever a hook has ended.
    Worker(const CallbackEntry& entry, const Settings& settings, const Run& run, Ledger& ledger, Milliseconds budget,
           std::function<void()> changed);

    const std::string& name() const { return entry_.name; }
    bool adds_events() const { return entry_.adds_events; }
    bool keeps_copies() const { return entry_.hooks.remote; }
    // Nothing is lost to it where it is started late, or not at all: the end hook reads what was logged.
    bool may_start_late() const { return !entry_.hooks.start && (entry_.hooks.end || !entry_.hooks.events); }
    void prepare(RunSpec& spec); // on the caller's thread
    // `ticks` false: a tick may be what took the host before this one with it.
    void start(bool ticks = true);
    void end(const Outcome& outcome, Deadline deadline);
    bool ended() const; // the end hook has run, failed, or never will
    // When the hook under way has used up its time; nullopt: none is under way.
    std::optional<Deadline> overdue_at() const;
    void hurry(Deadline deadline);
    // Gives the hook under way up, thread and all. A worker that has yet to run its end hook gets a fresh successor for
    // it: two threads must not share one Callback.
    std::shared_ptr<Worker> abandon();

private:
    struct Task {
        std::string hook;
        std::function<void(Callback&)> work;
        bool in_ledger = true;
    };
    void post(Task task);
    void launch();
    void loop();
    std::optional<Task> next();
    std::optional<Task> due_now(Clock::time_point now);
    Clock::time_point wake_at(Clock::time_point now) const;
    void perform(const Task& task);
    void read_step(Callback& callback);
    EventReader::Visitor visitor_of(Callback& callback) const;

    const CallbackEntry& entry_;
    const Settings& settings_;
    const Run& run_;
    Ledger& ledger_;
    Milliseconds budget_;
    std::function<void()> changed_;
    std::unique_ptr<Callback> callback_; // made on the worker's thread
    EventReader events_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Task> tasks_;
    std::string current_;
    std::optional<Deadline> overdue_at_;
    std::optional<Clock::time_point> next_tick_;
    Milliseconds interval_{0};
    std::optional<std::pair<Outcome, Deadline>> end_; // asked for
    bool launched_ = false, started_ = false, ended_ = false, abandoned_ = false, failure_noted_ = false;
    bool more_events_ = false; // to be read at once; the worker's thread alone
};

} // namespace poster
