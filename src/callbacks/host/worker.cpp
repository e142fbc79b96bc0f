#include "worker.hpp"

#include <pthread.h>

#include <algorithm>

namespace poster {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kStackBytes = 1 << 20; // touched only as far as used
constexpr auto kEventPoll = 50ms;
constexpr auto kFirstTick = 1000ms;
constexpr const char* kEvent = "event";

} // namespace

bool is_too_short_for(const CallbackEntry& entry, const Outcome& outcome) {
    return outcome.status != Status::lost && outcome.duration < entry.shortest_run;
}

Worker::Worker(const CallbackEntry& entry, const Settings& settings, const Run& run, Ledger& ledger,
               Milliseconds budget, std::function<void()> changed)
    : entry_(entry), settings_(settings), run_(run), ledger_(ledger), budget_(budget), changed_(std::move(changed)),
      events_(run.attempt_dir() / "events") {}

void Worker::prepare(RunSpec& spec) {
    if (!entry_.hooks.prepare || ledger_.mark(name(), "prepare") != Ledger::Mark::none) return;
    ledger_.write(name(), "prepare", "begin");
    RunSpec changed = spec;
    try {
        entry_.create(settings_)->on_prepare(changed); // an object of its own: a hanging hook keeps it
        spec = std::move(changed);
        ledger_.write(name(), "prepare", "done");
    } catch (const std::exception& error) {
        ledger_.write(name(), "prepare", "failed", error.what());
    } catch (...) {
        ledger_.write(name(), "prepare", "failed", "unknown exception");
    }
}

void Worker::start(bool ticks) {
    bool wanted = entry_.hooks.start && ledger_.mark(name(), "start") == Ledger::Mark::none;
    if (wanted)
        post({"start", [this](Callback& callback) { callback.on_start(run_); }});
    else if (entry_.hooks.tick && ticks)
        post({"tick", [](Callback&) {}, false}); // the first one is due when the object is there
    std::lock_guard lock(mutex_);
    started_ = true;
    if (wanted || entry_.hooks.events || entry_.hooks.tick) launch();
}

void Worker::end(const Outcome& outcome, Deadline deadline) {
    std::lock_guard lock(mutex_);
    const bool unneeded = !launched_ && (!entry_.hooks.end || is_too_short_for(entry_, outcome));
    if (unneeded || ledger_.mark(name(), "end") != Ledger::Mark::none) {
        ended_ = true;
        return;
    }
    if (end_) return;
    end_.emplace(outcome, deadline);
    Task last{"end",
              [this](Callback& callback) {
                  if (entry_.hooks.events) events_.read_all(visitor_of(callback));
                  callback.on_end(run_, end_->first, end_->second);
              },
              entry_.hooks.end};
    tasks_.push_back(std::move(last));
    launch();
    wake_.notify_one();
}

bool Worker::ended() const {
    std::lock_guard lock(mutex_);
    return ended_;
}

std::optional<Deadline> Worker::overdue_at() const {
    std::lock_guard lock(mutex_);
    return overdue_at_;
}

void Worker::hurry(Deadline deadline) {
    std::lock_guard lock(mutex_);
    if (overdue_at_) overdue_at_ = std::min(*overdue_at_, deadline);
    budget_ = std::min(budget_, std::chrono::ceil<Milliseconds>(deadline - Clock::now()));
}

std::shared_ptr<Worker> Worker::abandon() {
    std::unique_lock lock(mutex_);
    abandoned_ = true;
    overdue_at_.reset();
    std::string hook = current_;
    bool was_end = hook == "end";
    auto wanted_end = end_;
    ended_ = true;
    lock.unlock();
    ledger_.write(name(), hook, "timeout", "it used up its time");
    if (was_end) return nullptr;
    auto successor = std::make_shared<Worker>(entry_, settings_, run_, ledger_, budget_, changed_);
    if (wanted_end) successor->end(wanted_end->first, wanted_end->second);
    return successor;
}

void Worker::post(Task task) {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    launch();
    wake_.notify_one();
}

void Worker::launch() {
    if (std::exchange(launched_, true)) return;
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, kStackBytes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    auto* self = new std::shared_ptr<Worker>(shared_from_this());
    auto body = [](void* argument) -> void* {
        std::unique_ptr<std::shared_ptr<Worker>> worker(static_cast<std::shared_ptr<Worker>*>(argument));
        (*worker)->loop();
        return nullptr;
    };
    pthread_t thread{};
    if (::pthread_create(&thread, &attributes, body, self) != 0) {
        delete self;
        ended_ = true; // no thread to be had: the run goes on without this callback
    }
    ::pthread_attr_destroy(&attributes);
}

void Worker::loop() {
    while (auto task = next()) {
        perform(*task);
        std::lock_guard lock(mutex_);
        if (abandoned_) return;
    }
}

Worker::Clock::time_point Worker::wake_at(Clock::time_point now) const {
    auto wake = now + 1h;
    if (next_tick_) wake = std::min(wake, *next_tick_);
    if (started_ && entry_.hooks.events) wake = std::min<Clock::time_point>(wake, now + kEventPoll);
    return wake;
}

std::optional<Worker::Task> Worker::due_now(Clock::time_point now) {
    if (!tasks_.empty()) {
        Task task = std::move(tasks_.front());
        tasks_.pop_front();
        return task;
    }
    if (next_tick_ && now >= *next_tick_) {
        next_tick_ = now + interval_;
        return Task{"tick", [this](Callback& callback) { callback.on_tick(run_); }, false};
    }
    return std::nullopt;
}

std::optional<Worker::Task> Worker::next() {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (abandoned_ || ended_) return std::nullopt;
        auto now = Clock::now();
        if (auto task = due_now(now)) {
            current_ = task->hook;
            overdue_at_ = now + budget_;
            return task;
        }
        bool timed_out = more_events_ || wake_.wait_until(lock, wake_at(now)) == std::cv_status::timeout;
        if (timed_out && !ended_ && started_ && entry_.hooks.events && tasks_.empty()) {
            current_ = kEvent;
            overdue_at_ = Clock::now() + budget_;
            return Task{kEvent, [this](Callback& callback) { read_step(callback); }, false};
        }
    }
}

// One step at a time: each has the whole budget, however much there is to catch up with.
void Worker::read_step(Callback& callback) {
    more_events_ = false; // also where a hook throws
    EventReader::Visitor visitor = visitor_of(callback);
    bool told = false;
    visitor.on_event = [&](const Event& event) {
        if (!std::exchange(told, true)) changed_(); // a hook is under way, which may hang
        callback.on_event(run_, event);
    };
    more_events_ = events_.read(visitor);
}

EventReader::Visitor Worker::visitor_of(Callback& callback) const {
    return {[&](std::string_view kind) { return callback.wants(kind); },
            [&](const Event& event) { callback.on_event(run_, event); },
            [&](const Step& step) { callback.on_step(run_, step); }};
}

void Worker::perform(const Task& task) {
    if (task.in_ledger) ledger_.write(name(), task.hook, "begin");
    std::string failure;
    try {
        if (!callback_) callback_ = entry_.create(settings_);
        task.work(*callback_);
    } catch (const std::exception& error) {
        failure = *error.what() == '\0' ? "unknown error" : error.what();
    } catch (...) {
        failure = "unknown exception";
    }
    std::unique_lock lock(mutex_);
    if (abandoned_) return;
    overdue_at_.reset();
    lock.unlock();
    if (task.in_ledger)
        ledger_.write(name(), task.hook, failure.empty() ? "done" : "failed", failure);
    else if (!failure.empty() && !std::exchange(failure_noted_, true))
        ledger_.write(name(), task.hook, "failed", failure);
    lock.lock();
    if (!next_tick_ && entry_.hooks.tick && task.hook != "end" && callback_ && callback_->interval() > 0ms) {
        interval_ = callback_->interval();
        next_tick_ = Clock::now() + std::min<Milliseconds>(interval_, kFirstTick);
    }
    if (task.hook == "end") ended_ = true;
    current_.clear();
    lock.unlock();
    if (task.hook != kEvent || !failure.empty()) changed_(); // polled in vain: nothing that the host need know
}

} // namespace poster
