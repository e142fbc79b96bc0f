#include "decide.hpp"

#include <algorithm>
#include <csignal>

namespace poster {

namespace {

using namespace std::chrono_literals;
using Verb = Action::Verb;

constexpr auto kCanaryPatience = 1s; // it answers within milliseconds, unless the machine or its disk hangs
constexpr auto kCanaryMemory = 200ms;
constexpr auto kRelayWindow = 1s;
constexpr auto kInterruptWindow = 3s;
constexpr auto kRekillEvery = 500ms;
constexpr auto kDrainQuiet = 400ms;
constexpr auto kDrainTotal = 2s;
constexpr auto kUnkillable = 10s; // after SIGKILL: another user's process, or one in the middle of a dead disk's read
constexpr auto kLeastSweep = 500ms;
constexpr auto kHooksTotal = 125s;
constexpr auto kHurriedHooks = 5s;

bool child_lives(const SupervisorState& state) {
    return state.phase == Phase::running || state.phase == Phase::stopped || state.phase == Phase::terminating;
}

bool asks_to_end(int signal) {
    return signal == SIGTERM || signal == SIGHUP;
}

bool worth_remembering(int signal) {
    return signal == SIGINT || signal == SIGQUIT;
}

class Reactor {
public:
    explicit Reactor(SupervisorState state) : s_(std::move(state)) {}
    Reaction take() { return {std::move(s_), std::move(actions_)}; }

    void handle(const Input& input) {
        now_ = input.now;
        child_dies_of_term_ = input.child_dies_of_term;
        using Kind = Input::Kind;
        switch (input.kind) {
        case Kind::child_started: s_.phase = Phase::running; break;
        case Kind::never_started:
            s_.ended_at = now_;
            end_streams();
            finalise();
            break;
        case Kind::signal: on_signal(input); break;
        case Kind::group_signal: on_group_signal(input); break;
        case Kind::canary_quiet: on_canary_quiet(input.number); break;
        case Kind::canary_lost: on_canary_lost(); break;
        case Kind::child_stopped: on_child_stopped(input.number); break;
        case Kind::child_continued:
            if (s_.phase == Phase::stopped) s_.phase = Phase::running;
            break;
        case Kind::child_ended: on_child_ended(input.number); break;
        case Kind::output_seen:
            if (s_.phase == Phase::draining) s_.quiet_at = now_ + kDrainQuiet;
            break;
        case Kind::streams_closed:
            s_.streams_open = false;
            if (s_.phase == Phase::draining) finalise();
            break;
        case Kind::tree_gone:
            if (s_.phase == Phase::sweeping) drain();
            break;
        case Kind::hooks_done:
            if (s_.phase == Phase::finalising) leave();
            break;
        case Kind::uses_tracker: s_.interrupt_first = true; break;
        case Kind::tick: on_tick(); break;
        case Kind::woke_late: shift_deadlines(input.late); break;
        }
    }

private:
    void act(Verb verb, int number = 0) { actions_.push_back({verb, number}); }

    void on_signal(const Input& input) {
        if (input.number == SIGWINCH) return act(Verb::resize);
        if (s_.phase == Phase::finalising) return hurry_if_asked_again(input.number);
        if (input.source == SignalSource::kill_order) return end_at_once(input);
        if (input.source == SignalSource::kernel && s_.shares_terminal) return on_terminal_signal(input);
        if (input.source == SignalSource::relay) return on_relayed(input);
        if (s_.shares_terminal && s_.canary_alive) return await_canary(input);
        pass_on(input.number, input.sender);
    }

    // The kernel gave it to the whole foreground group, the child included.
    void on_terminal_signal(const Input& input) {
        if (input.number == SIGHUP) {
            if (s_.leads_session && child_lives(s_)) act(Verb::forward, SIGHUP);
            return begin_ending({SIGHUP, true, false, {}});
        }
        if (input.number == SIGCONT) return;
        if (worth_remembering(input.number)) s_.last_signal = Cause{input.number, true, false, {}};
        if (input.number != SIGINT) return;
        std::erase_if(s_.interrupts, [&](MonoTime then) { return now_ - then > kInterruptWindow; });
        s_.interrupts.push_back(now_);
        if (s_.interrupts.size() < 3) return;
        if (child_lives(s_)) act(Verb::forward, SIGTERM);
        begin_ending({SIGINT, true, false, {}});
    }

    // The whole group may have been sent it: then it has come here by itself as well.
    void on_relayed(const Input& input) {
        auto is_same = [&](const PendingSignal& it) { return it.signal == input.number; };
        bool waits = std::any_of(s_.pending.begin(), s_.pending.end(), is_same);
        bool has_it = s_.last_noted && is_same(*s_.last_noted) && now_ - s_.last_noted->forward_at < kRelayWindow;
        if (!waits && !has_it) pass_on(input.number, input.sender);
    }

    void await_canary(const Input& input) {
        forget_old_words();
        auto word = std::find_if(s_.canary_words.begin(), s_.canary_words.end(),
                                 [&](const PendingSignal& said) { return said.signal == input.number; });
        if (word == s_.canary_words.end()) {
            s_.pending.push_back({input.number, input.sender, now_ + kCanaryPatience, ++s_.questions});
            return act(Verb::ask_canary, s_.questions);
        }
        s_.canary_words.erase(word);
        note(input.number, input.sender);
    }

    void on_group_signal(const Input& input) {
        auto waiting = std::find_if(s_.pending.begin(), s_.pending.end(),
                                    [&](const PendingSignal& it) { return it.signal == input.number; });
        if (waiting != s_.pending.end()) {
            Sender sender = waiting->sender;
            s_.pending.erase(waiting);
            return note(input.number, sender);
        }
        forget_old_words();
        s_.canary_words.push_back({input.number, input.sender, now_ + kCanaryMemory, 0});
    }

    void on_canary_lost() {
        s_.canary_alive = false;
        release_all_pending();
    }

    void forget_old_words() {
        std::erase_if(s_.canary_words, [&](const PendingSignal& said) { return said.forward_at < now_; });
    }

    void on_canary_quiet(int question) {
        release_pending([&](const PendingSignal& it) { return it.question <= question; });
    }

    void release_all_pending() {
        release_pending([](const PendingSignal&) { return true; });
    }

    // It was for poster alone: the child gets it from here.
    template <typename Settled>
    void release_pending(Settled settled) {
        auto due = std::stable_partition(s_.pending.begin(), s_.pending.end(),
                                         [&](const PendingSignal& it) { return !settled(it); });
        std::vector<PendingSignal> ready(due, s_.pending.end());
        s_.pending.erase(due, s_.pending.end());
        for (const auto& it : ready) pass_on(it.signal, it.sender);
    }

    void pass_on(int signal, const Sender& sender) {
        if (child_lives(s_)) signal_child(signal);
        note(signal, sender);
    }

    // What asks for the end a second time is not softened.
    void signal_child(int signal) {
        const bool soften =
            signal == SIGTERM && s_.interrupt_first && child_dies_of_term_ && s_.phase != Phase::terminating;
        if (!soften) {
            if (asks_to_end(signal)) s_.terminate_at.reset();
            return act(Verb::forward, signal);
        }
        act(Verb::interrupt_group);
        s_.terminate_at = now_ + s_.grace / 2;
    }

    // The child has the signal; what does it mean for the run?
    void note(int signal, const Sender& sender) {
        s_.last_noted = PendingSignal{signal, sender, now_, 0};
        Cause cause{signal, false, false, sender};
        if (worth_remembering(signal)) s_.last_signal = cause;
        if (asks_to_end(signal)) begin_ending(cause);
    }

    void begin_ending(const Cause& cause) {
        if (!s_.cause) s_.cause = cause;
        if (s_.phase != Phase::running && s_.phase != Phase::stopped) {
            // A background process that delays the end of a run which is asked to end has no claim to go on.
            if (s_.phase == Phase::draining && !s_.tree_killed) sweep();
            return;
        }
        if (s_.phase == Phase::stopped) act(Verb::forward, SIGCONT); // a stopped child must be able to take the signal
        s_.phase = Phase::terminating;
        s_.kill_at = now_ + s_.grace;
    }

    void end_at_once(const Input& input) {
        Cause cause{SIGKILL, false, false, input.sender};
        if (!s_.cause) s_.cause = cause;
        if (!child_lives(s_) && s_.phase != Phase::sweeping) return begin_ending(cause);
        if (child_lives(s_)) s_.phase = Phase::terminating;
        kill_tree();
    }

    void kill_tree() {
        act(Verb::kill_tree);
        s_.tree_killed = true;
        s_.kill_at = now_ + kRekillEvery;
        if (s_.phase == Phase::sweeping && !s_.sweep_end_at) s_.sweep_end_at = now_ + kUnkillable;
    }

    void on_child_stopped(int signal) {
        if (s_.phase == Phase::terminating) return act(Verb::forward, SIGCONT);
        if (s_.phase != Phase::running) return;
        s_.phase = Phase::stopped;
        // What has come meanwhile may ask for the end: that is to be settled first, and wakes the child.
        if (s_.shares_terminal && s_.pending.empty()) act(Verb::stop_self, signal);
    }

    void on_child_ended(int status) {
        s_.child_status = status;
        s_.ended_at = now_;
        s_.time_limit_at.reset();
        s_.terminate_at.reset();
        release_all_pending();
        if (s_.cause) return sweep();
        drain();
    }

    void sweep() {
        s_.phase = Phase::sweeping;
        s_.quiet_at.reset();
        s_.drain_end_at.reset();
        if (s_.tree_killed) return kill_tree();
        act(Verb::terminate_tree);
        s_.kill_at = std::max(s_.kill_at.value_or(now_), now_ + std::min<MonoTime::duration>(s_.grace, kLeastSweep));
    }

    void drain() {
        s_.phase = Phase::draining;
        s_.kill_at.reset();
        s_.sweep_end_at.reset();
        if (!s_.streams_open) return finalise();
        s_.quiet_at = now_ + kDrainQuiet;
        s_.drain_end_at = now_ + kDrainTotal;
    }

    void end_streams() {
        if (s_.streams_open) act(Verb::close_streams);
        s_.streams_open = false;
    }

    void finalise() {
        end_streams();
        s_.quiet_at.reset();
        s_.drain_end_at.reset();
        s_.phase = Phase::finalising;
        s_.hooks_end_at = now_ + kHooksTotal;
        act(Verb::finalise);
    }

    void hurry_if_asked_again(int signal) {
        if (!asks_to_end(signal) && signal != SIGINT) return;
        bool again = s_.cause && s_.ended_at && now_ - *s_.ended_at >= 1s;
        if (!s_.cause) {
            s_.cause = Cause{signal, false, false, {}}; // the next one, a second later, is the hurried one
            act(Verb::ask);
        }
        if (!again) return;
        act(Verb::hurry);
        s_.hooks_end_at = std::min(s_.hooks_end_at.value_or(now_ + kHurriedHooks), now_ + kHurriedHooks);
    }

    void leave() {
        s_.phase = Phase::done;
        s_.hooks_end_at.reset();
        act(Verb::leave);
    }

    void on_tick() {
        release_pending([&](const PendingSignal& it) { return it.forward_at <= now_; });
        if (s_.time_limit_at && now_ >= *s_.time_limit_at) on_time_limit();
        if (s_.terminate_at && now_ >= *s_.terminate_at) {
            s_.terminate_at.reset();
            act(Verb::forward, SIGTERM);
        }
        if (s_.kill_at && now_ >= *s_.kill_at) kill_tree();
        if (s_.sweep_end_at && now_ >= *s_.sweep_end_at) drain();
        bool quiet = s_.quiet_at && now_ >= *s_.quiet_at;
        bool drained = s_.drain_end_at && now_ >= *s_.drain_end_at;
        if (s_.phase == Phase::draining && (quiet || drained)) finalise();
        if (s_.phase == Phase::finalising && s_.hooks_end_at && now_ >= *s_.hooks_end_at) leave();
    }

    void on_time_limit() {
        s_.time_limit_at.reset();
        if (!child_lives(s_)) return;
        signal_child(SIGTERM);
        begin_ending({SIGTERM, false, true, {}});
    }

    void shift_deadlines(Milliseconds late) {
        for (auto* deadline :
             {&s_.kill_at, &s_.quiet_at, &s_.drain_end_at, &s_.hooks_end_at, &s_.sweep_end_at, &s_.terminate_at})
            if (*deadline) **deadline += late;
    }

    SupervisorState s_;
    std::vector<Action> actions_;
    MonoTime now_{};
    bool child_dies_of_term_ = false;
};

} // namespace

Reaction react(SupervisorState state, const Input& input) {
    Reactor reactor(std::move(state));
    reactor.handle(input);
    return reactor.take();
}

std::optional<MonoTime> next_deadline(const SupervisorState& state) {
    std::optional<MonoTime> next;
    auto consider = [&](const std::optional<MonoTime>& at) {
        if (at && (!next || *at < *next)) next = at;
    };
    for (const auto& at : {state.time_limit_at, state.kill_at, state.quiet_at, state.drain_end_at, state.hooks_end_at,
                           state.sweep_end_at, state.terminate_at})
        consider(at);
    for (const auto& it : state.pending) consider(it.forward_at);
    return next;
}

} // namespace poster
