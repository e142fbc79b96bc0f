#include <catch2/catch.hpp>

#include <csignal>

#include <decide.hpp>

using namespace poster;
using namespace std::chrono_literals;
using Kind = Input::Kind;
using Verb = Action::Verb;

namespace {

const MonoTime kStart{1000s};

// Feeds inputs one after the other and keeps the actions of the last one.
struct World {
    SupervisorState state;
    std::vector<Action> actions;
    MonoTime now = kStart;
    bool dies_of_term = false;

    World& take(Kind kind, int number = 0, SignalSource source = SignalSource::process) {
        Input input;
        input.kind = kind;
        input.now = now;
        input.number = number;
        input.source = source;
        input.sender = {812, 0, "slurmstepd"};
        input.child_dies_of_term = dies_of_term;
        auto reaction = react(state, input);
        state = reaction.state;
        actions = reaction.actions;
        return *this;
    }
    World& after(Milliseconds time) {
        now += time;
        return take(Kind::tick);
    }
    bool did(Verb verb, int number = 0) const {
        for (const auto& action : actions)
            if (action == Action{verb, number}) return true;
        return false;
    }
};

World running(bool shares_terminal = false, bool canary = true) {
    World world;
    world.state.shares_terminal = shares_terminal;
    world.state.canary_alive = canary;
    world.state.grace = 1s;
    world.take(Kind::child_started);
    return world;
}

} // namespace

TEST_CASE("without a terminal every signal of a process is forwarded at once, exactly once") {
    int signal = GENERATE(SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGALRM, SIGRTMIN + 3);
    auto world = running();
    world.take(Kind::signal, signal);
    CHECK(world.actions == std::vector<Action>{{Verb::forward, signal}});
    CHECK(world.after(20ms).actions.empty());
}

TEST_CASE("TERM and HUP begin the end; INT and USR1 leave it to the child") {
    auto [signal, phase] = GENERATE(table<int, Phase>({{SIGTERM, Phase::terminating},
                                                       {SIGHUP, Phase::terminating},
                                                       {SIGINT, Phase::running},
                                                       {SIGQUIT, Phase::running},
                                                       {SIGUSR1, Phase::running}}));
    auto world = running();
    world.take(Kind::signal, signal);
    CHECK(world.state.phase == phase);
}

TEST_CASE("a signal the canary saw too was for the whole group and is not forwarded") {
    SECTION("the canary speaks after the signal") {
        auto world = running(true);
        world.take(Kind::signal, SIGTERM);
        world.take(Kind::group_signal, SIGTERM);
        CHECK(world.actions.empty());
        CHECK(world.state.phase == Phase::terminating);
        CHECK(world.take(Kind::canary_quiet, 1).actions.empty());
    }
    SECTION("the canary speaks before the signal is read") {
        auto world = running(true);
        world.take(Kind::group_signal, SIGUSR1);
        world.take(Kind::signal, SIGUSR1);
        CHECK(world.actions.empty());
        CHECK(world.after(20ms).actions.empty());
    }
}

TEST_CASE("a signal the canary did not see was for poster alone and is forwarded once it has said so") {
    auto world = running(true);
    world.take(Kind::signal, SIGUSR1);
    CHECK(world.actions == std::vector<Action>{{Verb::ask_canary, 1}});
    world.take(Kind::signal, SIGTERM);
    CHECK(world.actions == std::vector<Action>{{Verb::ask_canary, 2}});
    SECTION("its answer settles what was asked before, and no more") {
        world.take(Kind::canary_quiet, 1);
        CHECK(world.actions == std::vector<Action>{{Verb::forward, SIGUSR1}});
        CHECK(world.state.phase == Phase::running);
        CHECK(world.take(Kind::canary_quiet, 2).actions == std::vector<Action>{{Verb::forward, SIGTERM}});
        CHECK(world.state.phase == Phase::terminating);
    }
    SECTION("one answer settles all that was asked before it") {
        world.take(Kind::canary_quiet, 2);
        CHECK(world.actions == std::vector<Action>{{Verb::forward, SIGUSR1}, {Verb::forward, SIGTERM}});
    }
    SECTION("a machine under load makes nobody guess, a canary that hangs holds no signal back for ever") {
        CHECK(world.after(999ms).actions.empty());
        CHECK(world.after(1ms).actions == std::vector<Action>{{Verb::forward, SIGUSR1}, {Verb::forward, SIGTERM}});
    }
}

TEST_CASE("without a canary nothing waits for its word") {
    SECTION("it was never there") {
        auto world = running(true, false);
        CHECK(world.take(Kind::signal, SIGUSR2).did(Verb::forward, SIGUSR2));
    }
    SECTION("it died while a signal waited") {
        auto world = running(true);
        world.take(Kind::signal, SIGUSR2);
        CHECK(world.take(Kind::canary_lost).did(Verb::forward, SIGUSR2));
    }
}

TEST_CASE("what the launcher of a multirun passes on reaches the child once") {
    auto world = running(true);
    SECTION("nobody else sent it") {
        CHECK(world.take(Kind::signal, SIGTERM, SignalSource::relay).did(Verb::forward, SIGTERM));
        CHECK(world.state.phase == Phase::terminating);
    }
    SECTION("the group has been sent it, too, and it came here before") {
        world.take(Kind::signal, SIGTERM).take(Kind::group_signal, SIGTERM);
        CHECK(world.take(Kind::signal, SIGTERM, SignalSource::relay).actions.empty());
    }
    SECTION("the group has been sent it, and the canary has yet to say so") {
        world.take(Kind::signal, SIGTERM);
        CHECK(world.take(Kind::signal, SIGTERM, SignalSource::relay).actions.empty());
    }
    SECTION("a second one, later, is another one") {
        world.take(Kind::signal, SIGUSR1, SignalSource::relay);
        world.after(2000ms);
        CHECK(world.take(Kind::signal, SIGUSR1, SignalSource::relay).did(Verb::forward, SIGUSR1));
    }
}

TEST_CASE("what is typed at the terminal has reached the child already") {
    int signal = GENERATE(SIGINT, SIGQUIT, SIGTSTP, SIGHUP);
    auto world = running(true);
    world.take(Kind::signal, signal, SignalSource::kernel);
    CHECK(world.actions.empty());
}

TEST_CASE("a session leader passes the hangup of its terminal on") {
    auto world = running(true);
    world.state.leads_session = true;
    CHECK(world.take(Kind::signal, SIGHUP, SignalSource::kernel).did(Verb::forward, SIGHUP));
    CHECK(world.state.phase == Phase::terminating);
}

TEST_CASE("the third Ctrl-C within three seconds counts as TERM") {
    auto world = running(true);
    world.take(Kind::signal, SIGINT, SignalSource::kernel);
    world.after(1000ms).take(Kind::signal, SIGINT, SignalSource::kernel);
    CHECK(world.state.phase == Phase::running);
    SECTION("in time") {
        world.after(1000ms).take(Kind::signal, SIGINT, SignalSource::kernel);
        CHECK(world.did(Verb::forward, SIGTERM));
        CHECK(world.state.phase == Phase::terminating);
        CHECK(world.after(1000ms).did(Verb::kill_tree));
    }
    SECTION("too late") {
        world.after(2500ms).take(Kind::signal, SIGINT, SignalSource::kernel);
        CHECK(world.state.phase == Phase::running);
    }
}

TEST_CASE("the grace period ends in SIGKILL for the tree, again every half second") {
    auto world = running();
    world.take(Kind::signal, SIGTERM);
    CHECK(world.after(999ms).actions.empty());
    CHECK(world.after(1ms).did(Verb::kill_tree));
    CHECK(world.after(499ms).actions.empty());
    CHECK(world.after(1ms).did(Verb::kill_tree));
}

TEST_CASE("repeating TERM forwards each one and never shortens the grace period") {
    auto world = running();
    world.take(Kind::signal, SIGTERM);
    for (int i = 0; i < 9; ++i) {
        world.after(100ms);
        CHECK(world.take(Kind::signal, SIGTERM).actions == std::vector<Action>{{Verb::forward, SIGTERM}});
    }
    CHECK(world.after(99ms).actions.empty());
    CHECK(world.after(1ms).did(Verb::kill_tree));
}

TEST_CASE("time during which poster itself was stopped does not count as grace") {
    auto world = running();
    world.take(Kind::signal, SIGTERM);
    world.now += 60s;
    Input input;
    input.kind = Kind::woke_late;
    input.now = world.now;
    input.late = 59s;
    world.state = react(world.state, input).state;
    CHECK(world.after(0ms).did(Verb::kill_tree)); // exactly the second of grace has passed
    auto other = running();
    other.take(Kind::signal, SIGTERM);
    other.now += 60s;
    input.late = Milliseconds(59'500);
    other.state = react(other.state, input).state;
    CHECK(other.after(0ms).actions.empty());
}

TEST_CASE("`stop --kill` kills at once") {
    auto world = running();
    CHECK(world.take(Kind::signal, SIGTERM, SignalSource::kill_order).did(Verb::kill_tree));
}

TEST_CASE("a stopped child stops poster only where both are one job of a terminal") {
    auto [terminal, stops] = GENERATE(table<bool, bool>({{true, true}, {false, false}}));
    auto world = running(terminal);
    world.take(Kind::child_stopped, SIGTSTP);
    CHECK(world.did(Verb::stop_self, SIGTSTP) == stops);
    CHECK(world.state.phase == Phase::stopped);
    CHECK(world.take(Kind::child_continued).state.phase == Phase::running);
}

TEST_CASE("a stopped child is continued so that it can take TERM") {
    auto world = running();
    world.take(Kind::child_stopped, SIGSTOP);
    world.take(Kind::signal, SIGTERM);
    CHECK(world.did(Verb::forward, SIGTERM));
    CHECK(world.did(Verb::forward, SIGCONT));
}

TEST_CASE("after a normal end the streams drain: to their end, 400 ms of silence, or 2 s in all") {
    auto world = running();
    world.take(Kind::child_ended, 0);
    CHECK(world.state.phase == Phase::draining);
    SECTION("their end") {
        CHECK(world.take(Kind::streams_closed).did(Verb::finalise));
    }
    SECTION("silence") {
        CHECK(world.after(399ms).actions.empty());
        CHECK(world.after(1ms).did(Verb::finalise));
    }
    SECTION("a background process that goes on writing") {
        for (int i = 0; i < 19; ++i) {
            world.after(100ms);
            CHECK(world.actions.empty());
            world.take(Kind::output_seen);
        }
        CHECK(world.after(100ms).did(Verb::finalise));
    }
}

TEST_CASE("a child that ends with all streams closed is finalised at once") {
    auto world = running();
    world.take(Kind::streams_closed);
    CHECK(world.take(Kind::child_ended, 0).did(Verb::finalise));
}

TEST_CASE("after a requested end what the child left behind is ended too") {
    auto world = running();
    world.take(Kind::signal, SIGTERM);
    world.take(Kind::child_ended, 0);
    CHECK(world.did(Verb::terminate_tree));
    CHECK(world.state.phase == Phase::sweeping);
    SECTION("it goes by itself") {
        world.take(Kind::tree_gone);
        CHECK(world.state.phase == Phase::draining);
    }
    SECTION("it does not") {
        CHECK(world.after(1000ms).did(Verb::kill_tree));
    }
}

TEST_CASE("a time limit is TERM, grace, KILL") {
    auto world = running();
    world.state.time_limit_at = kStart + 5s;
    CHECK(world.after(4999ms).actions.empty());
    CHECK(world.after(1ms).did(Verb::forward, SIGTERM));
    CHECK(world.state.cause->time_limit);
    CHECK(world.after(1000ms).did(Verb::kill_tree));
}

TEST_CASE("the loop ends when the hooks are done, and without them when their time is over") {
    auto world = running();
    world.take(Kind::streams_closed).take(Kind::child_ended, 0);
    SECTION("done") {
        CHECK(world.take(Kind::hooks_done).did(Verb::leave));
    }
    SECTION("never") {
        CHECK(world.after(126'000ms).did(Verb::leave));
    }
    SECTION("a second TERM after a second hurries them") {
        CHECK(world.take(Kind::signal, SIGTERM).actions == std::vector<Action>{{Verb::ask}});
        CHECK(world.take(Kind::signal, SIGTERM).actions.empty());
        CHECK(world.after(1000ms).take(Kind::signal, SIGTERM).did(Verb::hurry));
    }
}

TEST_CASE("a process that SIGKILL does not end holds the run for ten seconds, not for ever") {
    auto world = running();
    world.take(Kind::signal, SIGTERM).take(Kind::child_ended, 0);
    CHECK(world.after(1000ms).did(Verb::kill_tree));
    for (int i = 0; i < 19; ++i) world.after(500ms);
    CHECK(world.state.phase == Phase::sweeping);
    world.after(500ms);
    CHECK(world.state.phase == Phase::draining);
}

TEST_CASE("end hooks of a command that never started can be hurried, too") {
    World world;
    world.take(Kind::never_started);
    CHECK(world.state.phase == Phase::finalising);
    world.take(Kind::signal, SIGTERM);
    world.after(1100ms);
    CHECK(world.take(Kind::signal, SIGTERM).did(Verb::hurry));
}

TEST_CASE("a child that stops while a signal waits for the canary does not stop poster") {
    auto world = running(true);
    world.take(Kind::signal, SIGTERM);
    CHECK_FALSE(world.take(Kind::child_stopped, SIGSTOP).did(Verb::stop_self, SIGSTOP));
    world.take(Kind::canary_quiet, 1);
    CHECK(world.did(Verb::forward, SIGTERM));
    CHECK(world.did(Verb::forward, SIGCONT));
}

namespace {

World using_tracker(bool dies_of_term) {
    auto world = running();
    world.take(Kind::uses_tracker);
    world.dies_of_term = dies_of_term;
    return world;
}

} // namespace

TEST_CASE("a child that uses a tracker is interrupted first, then terminated, then killed") {
    auto world = using_tracker(true);
    world.take(Kind::signal, SIGTERM);
    CHECK(world.actions == std::vector<Action>{{Verb::interrupt_group, 0}});
    CHECK(world.state.phase == Phase::terminating);
    CHECK(next_deadline(world.state) == world.now + 500ms);
    CHECK(world.after(499ms).actions.empty());
    CHECK(world.after(1ms).actions == std::vector<Action>{{Verb::forward, SIGTERM}});
    CHECK(world.after(499ms).actions.empty());
    CHECK(world.after(1ms).actions == std::vector<Action>{{Verb::kill_tree, 0}});
}

TEST_CASE("the time limit interrupts a child that uses a tracker first") {
    auto world = using_tracker(true);
    world.state.time_limit_at = kStart + 5s;
    CHECK(world.after(5s).actions == std::vector<Action>{{Verb::interrupt_group, 0}});
    CHECK(world.state.cause->time_limit);
    CHECK(world.after(500ms).actions == std::vector<Action>{{Verb::forward, SIGTERM}});
}

TEST_CASE("a child that catches SIGTERM gets it as it was sent, whatever it uses") {
    auto world = using_tracker(false);
    world.take(Kind::signal, SIGTERM);
    CHECK(world.actions == std::vector<Action>{{Verb::forward, SIGTERM}});
    CHECK(world.after(999ms).actions.empty());
}

TEST_CASE("a second SIGTERM is not softened") {
    auto world = using_tracker(true);
    world.take(Kind::signal, SIGTERM);
    world.after(100ms).take(Kind::signal, SIGTERM);
    CHECK(world.actions == std::vector<Action>{{Verb::forward, SIGTERM}});
    CHECK(world.after(500ms).actions.empty());
}

TEST_CASE("other signals than SIGTERM reach a child that uses a tracker as they were sent") {
    int signal = GENERATE(SIGINT, SIGHUP, SIGQUIT, SIGUSR1);
    auto world = using_tracker(true);
    world.take(Kind::signal, signal);
    CHECK(world.actions == std::vector<Action>{{Verb::forward, signal}});
}

TEST_CASE("a child that ends of the interrupt is not sent SIGTERM any more, and the cause stays what was received") {
    auto world = using_tracker(true);
    world.take(Kind::signal, SIGTERM);
    world.after(100ms).take(Kind::child_ended, SIGINT);
    CHECK(world.state.cause->signal == SIGTERM);
    CHECK_FALSE(world.state.terminate_at);
}

TEST_CASE("time that poster was stopped is no part of the time between interrupt and SIGTERM") {
    auto world = using_tracker(true);
    world.take(Kind::signal, SIGTERM);
    Input late;
    late.kind = Kind::woke_late;
    late.now = world.now + 10s;
    late.late = 10s;
    world.state = react(world.state, late).state;
    CHECK(*world.state.terminate_at == world.now + 10s + 500ms);
}
