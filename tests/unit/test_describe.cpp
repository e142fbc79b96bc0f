#include <catch2/catch.hpp>

#include <csignal>

#include "records.hpp"

using namespace poster;
using namespace std::chrono_literals;

namespace {

Outcome outcome(Status status, Milliseconds duration) {
    Outcome made;
    made.status = status;
    made.duration = duration;
    return made;
}

Outcome exited(Status status, int code, Milliseconds duration) {
    Outcome made = outcome(status, duration);
    made.exit_code = code;
    return made;
}

Outcome signalled(int signal, Milliseconds duration) {
    Outcome made = outcome(Status::killed, duration);
    made.signal = signal;
    return made;
}

Outcome received(Outcome made, int signal, std::optional<Sender> sender = {}) {
    made.received_signal = signal;
    made.sender = std::move(sender);
    return made;
}

Outcome starved(Outcome made) {
    made.out_of_memory = true;
    return made;
}

} // namespace

TEST_CASE("an outcome says in words why the run ended") {
    const Sender slurm{812, 0, "/usr/sbin/slurmstepd: [99.batch]"};
    auto [given, words] = GENERATE_COPY(table<Outcome, std::string>({
        {exited(Status::finished, 0, 3200ms), "finished in 3.2s"},
        {exited(Status::failed, 3, 4200ms), "failed with exit code 3 after 4.2s"},
        {signalled(SIGSEGV, 850ms), "killed by SIGSEGV after 850ms"},
        {received(signalled(SIGTERM, 123min), SIGTERM, slurm),
         "killed by SIGTERM from slurmstepd (pid 812, uid 0) after 2h 3m"},
        {received(exited(Status::killed, 143, 200s), SIGTERM, slurm),
         "ended by SIGTERM from slurmstepd (pid 812, uid 0), exit code 143, after 3m 20s"},
        {received(signalled(SIGTERM, 2s), SIGTERM, Sender{7, 5, "/usr/bin/poster stop last"}),
         "killed by SIGTERM from poster stop (pid 7, uid 5) after 2.0s"},
        {received(signalled(SIGTERM, 2s), SIGTERM, Sender{7, 5, ""}),
         "killed by SIGTERM from pid 7, uid 5, after 2.0s"},
        {received(signalled(SIGTERM, 2s), SIGTERM), "killed by SIGTERM after 2.0s"},
        {received(signalled(SIGKILL, 12s), SIGTERM),
         "killed by SIGTERM after 12.0s (SIGKILL at the end of the grace period)"},
        {received(signalled(SIGINT, 4200ms), SIGINT), "interrupted by Ctrl-C after 4.2s"},
        {received(exited(Status::failed, 1, 4200ms), SIGINT), "interrupted by Ctrl-C, exit code 1, after 4.2s"},
        {starved(signalled(SIGKILL, 200s)), "killed by the kernel: out of memory after 3m 20s"},
        {outcome(Status::timeout, 1h), "time limit of 1h reached after 1h 0m"},
    }));
    CHECK(describe(given, 1h) == words);
}
