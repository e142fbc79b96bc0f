#include <catch2/catch.hpp>

#include <csignal>

#include <outcome.hpp>

using namespace poster;

namespace {

int exited(int code) {
    return code << 8;
}

SupervisorState ended(int wait_status, std::optional<Cause> cause = {}, std::optional<Cause> last = {}) {
    SupervisorState state;
    state.child_status = wait_status;
    state.cause = cause;
    state.last_signal = last;
    return state;
}

const Cause kTerm{SIGTERM, false, false, {812, 0, "slurmstepd"}};
const Cause kTimeLimit{SIGTERM, false, true, {}};
const Cause kTypedInt{SIGINT, true, false, {}};

} // namespace

TEST_CASE("the status follows from how the child ended and what poster was told") {
    auto [state, status] = GENERATE(table<SupervisorState, Status>({
        {ended(exited(0)), Status::finished},
        {ended(exited(3)), Status::failed},
        {ended(SIGSEGV), Status::killed},
        {ended(exited(0), kTerm), Status::killed},
        {ended(SIGTERM, kTerm), Status::killed},
        {ended(exited(0), kTimeLimit), Status::timeout},
        {ended(SIGKILL, kTimeLimit), Status::timeout},
        {ended(SIGINT, {}, kTypedInt), Status::killed},
        {ended(exited(130), {}, kTypedInt), Status::killed},
        {ended(exited(0), {}, kTypedInt), Status::finished}, // a debugger, a REPL: Ctrl-C was not the end
        {ended(exited(2), {}, kTypedInt), Status::failed},
    }));
    CHECK(compose_outcome(Observations(state)).status == status);
}

TEST_CASE("the sender of the ending signal is told") {
    auto state = ended(SIGTERM, kTerm);
    auto outcome = compose_outcome(Observations(state));
    REQUIRE(outcome.sender);
    CHECK(outcome.sender->command == "slurmstepd");
    CHECK(outcome.received_signal == SIGTERM);
    CHECK(outcome.signal == SIGTERM);
}

TEST_CASE("only a SIGKILL that poster did not send is blamed on the OOM killer") {
    auto [signal, ours, struck, blamed] = GENERATE(table<int, bool, bool, bool>({{SIGKILL, false, true, true},
                                                                                 {SIGKILL, true, true, false},
                                                                                 {SIGKILL, false, false, false},
                                                                                 {SIGTERM, false, true, false}}));
    auto state = ended(signal);
    state.tree_killed = ours;
    Observations seen(state);
    seen.oom_killer_struck = struck;
    CHECK(compose_outcome(seen).out_of_memory == blamed);
}

TEST_CASE("the last line of a traceback is found") {
    auto [text, line] = GENERATE(table<std::string, std::string>({
        {"Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\nValueError: boom\n",
         "ValueError: boom"},
        {"Traceback (most recent call last):\r\n  File \"a\"\r\nKeyError: 'x'\r\n", "KeyError: 'x'"},
        {"all is well\n", ""},
        {"", ""},
        {"Traceback (most recent call last):\n  File", ""},
    }));
    CHECK(last_traceback_line(text) == line);
}

TEST_CASE("the peak memory is the larger of the sampled and the counted") {
    auto state = ended(exited(0));
    Observations seen(state);
    seen.usage.ru_maxrss = 100;
    seen.sampled_peak_bytes = 5000;
    CHECK(compose_outcome(seen).peak_memory_bytes == 102'400);
    seen.sampled_peak_bytes = 200'000;
    CHECK(compose_outcome(seen).peak_memory_bytes == 200'000);
}
