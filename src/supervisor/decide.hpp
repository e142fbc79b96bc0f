#pragma once
// The supervisor's decisions: a pure function (state, input) → (state, actions). No system call, no clock: `now` comes
// in with each input. supervisor.cpp turns the world into inputs and carries the actions out.
//
//   starting ─▶ running ⇄ stopped
//                  │  TERM, HUP, third Ctrl-C, time limit, `poster stop`
//                  ▼
//              terminating ─ child gone ─▶ sweeping ─ tree gone ─▶ draining ─▶ finalising ─▶ done
//                  running ─ child gone ─────────────────────────▶ draining

#include <chrono>
#include <optional>
#include <vector>

#include <poster/run.hpp>

namespace poster {

using MonoTime = std::chrono::steady_clock::time_point;

enum class Phase { starting, running, stopped, terminating, sweeping, draining, finalising, done };

enum class SignalSource {
    kernel,     // typed at the terminal, or the terminal went away
    process,    // kill(2) and its kin
    kill_order, // `poster stop --kill`
    relay       // the launcher of a multirun passes on what it was sent; the group may have been sent it, too
};

// Why the run is being ended, in the order of arrival: the first one stands.
struct Cause {
    int signal = 0;
    bool typed = false;
    bool time_limit = false;
    Sender sender; // pid 0: the kernel, or poster itself
};

struct PendingSignal {
    int signal = 0;
    Sender sender;
    MonoTime forward_at{}; // at the latest, should the canary not answer
    int question = 0;      // the canary's answer to it, or to a later one, settles this signal
};

struct SupervisorState {
    Phase phase = Phase::starting;
    // Facts of the start
    bool shares_terminal = false; // child and poster are one process group with a controlling terminal
    bool leads_session = false;
    bool canary_alive = false;
    Milliseconds grace{10'000};
    bool interrupt_first = false; // the child uses a library that writes its last lines on SIGINT and dies of SIGTERM
    // What has happened
    std::optional<Cause> cause;              // a request to end
    std::optional<Cause> last_signal;        // the last INT, QUIT … that was passed on but asks for nothing by itself
    std::optional<PendingSignal> last_noted; // the last signal that the child has; its forward_at: when
    std::optional<int> child_status;         // wait status
    bool streams_open = true;
    bool tree_killed = false;
    std::vector<MonoTime> interrupts; // typed Ctrl-C of the last 3 s
    // The canary: signals that wait for its word, and its words that came before the signal
    int questions = 0;
    std::vector<PendingSignal> pending;
    std::vector<PendingSignal> canary_words;
    // Deadlines
    std::optional<MonoTime> time_limit_at, kill_at, quiet_at, drain_end_at, hooks_end_at, sweep_end_at, terminate_at,
        ended_at;
};

struct Input {
    enum class Kind {
        child_started,
        never_started, // exec failed, or a signal came first
        signal,        // number, source, sender
        group_signal,  // the canary's word: number, sender
        canary_quiet,  // the canary has told all it saw before question `number`
        canary_lost,
        child_stopped, // number: the stop signal
        child_continued,
        child_ended, // number: wait status
        output_seen,
        streams_closed,
        tree_gone,
        hooks_done,
        uses_tracker, // SIGINT is to come before SIGTERM
        tick,         // a deadline has passed
        woke_late,    // poster itself had been stopped: `late` is how long
    } kind{};
    MonoTime now{};
    int number = 0;
    SignalSource source = SignalSource::process;
    Sender sender;
    Milliseconds late{0};
    bool child_dies_of_term = false; // its SIGTERM is at its default; told once the child uses a tracker
};

struct Action {
    enum class Verb {
        forward,         // signal `number` to the child
        interrupt_group, // SIGINT to the child and its descendants in its process group, as Ctrl-C would
        ask_canary,      // question `number`: was that for the whole group?
        kill_tree,       // SIGKILL to the child and all descendants
        terminate_tree,  // SIGTERM and SIGCONT to what the child left behind
        stop_self,       // raise stop signal `number`, continue the child on waking
        resize,          // copy the window size to the pty, then SIGWINCH to the child
        close_streams,
        finalise, // write the outcome, tell the host
        ask,      // tell the host that the end is asked for, though it has come by itself
        hurry,    // tell the host to cut network hooks short
        leave,    // the loop ends
    } verb{};
    int number = 0;
    friend bool operator==(const Action&, const Action&) = default;
};

struct Reaction {
    SupervisorState state;
    std::vector<Action> actions;
};

Reaction react(SupervisorState state, const Input& input);
// When react() wants a tick at the latest; nullopt: never.
std::optional<MonoTime> next_deadline(const SupervisorState& state);

} // namespace poster
