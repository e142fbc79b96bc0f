// A helper program that is spoken with through pipes.

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include <child_process.hpp>

using namespace poster;
using namespace std::chrono_literals;

namespace {

constexpr int kLarge = 1 << 20;
constexpr uid_t kNobody = 1'000'000;
constexpr std::size_t kMostEnds = 600; // of pipes; the usual limit is 64 MiB for a user

// So many pipes that this thread's user gets no more large ones: as in a job of a user who has many.
std::vector<Fd> use_up_large_pipes() {
    const uid_t user = kNobody + uid_t(::getpid()); // of whom no other test takes or gives back any meanwhile
    if (::geteuid() == 0) ::syscall(SYS_setresuid, user, user, user); // root gets all it wants
    std::vector<Fd> ends;
    while (ends.size() < kMostEnds) {
        int made[2];
        REQUIRE(::pipe2(made, O_CLOEXEC) == 0);
        ends.emplace_back(made[0]);
        ends.emplace_back(made[1]);
        if (::fcntl(made[0], F_SETPIPE_SZ, kLarge) < 0) break;
    }
    return ends;
}

// The shortest time of one exchange after the pipe had been full.
std::chrono::microseconds shortest_exchange(std::size_t bytes) {
    using Clock = std::chrono::steady_clock;
    ChildProcess program({"sh", "-c", "cat > /dev/null"});
    Outgoing input;
    input.add(std::string(bytes, 'x'));
    std::string output;
    auto shortest = Clock::duration::max();
    while (!input.empty()) {
        const auto began = Clock::now();
        const std::size_t before = input.size();
        REQUIRE(program.exchange(input, output, 10'000));
        if (before < bytes) shortest = std::min(shortest, Clock::now() - began);
    }
    CHECK(program.finish(10'000) == 0);
    return std::chrono::duration_cast<std::chrono::microseconds>(shortest);
}

} // namespace

TEST_CASE("a program reads what it is given without pauses where its pipe is small") {
    std::jthread([] {
        std::chrono::microseconds shortest{1000};
        // Other processes of the user may give some back meanwhile.
        for (int tries = 0; tries < 3 && shortest >= 1000us; ++tries) {
            const auto ends = use_up_large_pipes();
            if (ends.size() == kMostEnds) {
                WARN("pipes are not limited here");
                return;
            }
            shortest = shortest_exchange(4 << 20);
        }
        CHECK(shortest < 1000us);
    }).join();
}
