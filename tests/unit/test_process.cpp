#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "error.hpp"
#include "fd.hpp"
#include "process.hpp"

using namespace poster;

namespace {

// sh, which has started `sleep` and said so.
class Family {
public:
    Family() {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], 1);
            ::close(ends[0]);
            ::setenv("POSTER_TEST_MARK", "family", 1);
            ::execl("/bin/sh", "sh", "-c", "sleep 100 & echo $!; wait", nullptr);
            ::_exit(127);
        }
        ::close(ends[1]);
        char number[16] = {};
        REQUIRE(::read(ends[0], number, sizeof number - 1) > 0);
        ::close(ends[0]);
        grandchild_ = ::atoi(number);
    }
    Family(const Family&) = delete;
    Family& operator=(const Family&) = delete;
    ~Family() {
        ::kill(grandchild_, SIGKILL);
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    pid_t pid() const { return pid_; }
    pid_t grandchild() const { return grandchild_; }

private:
    pid_t pid_ = 0;
    pid_t grandchild_ = 0;
};

bool contains(const std::vector<pid_t>& pids, pid_t pid) {
    return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

} // namespace

TEST_CASE("a process tree is found") {
    const Family family;
    CHECK(descendants(family.pid()) == std::vector<pid_t>{family.grandchild()});
    CHECK(contains(descendants(::getpid()), family.pid()));
    CHECK(contains(descendants(::getpid()), family.grandchild()));
    CHECK(command_of(family.pid()) == "sh -c sleep 100 & echo $!; wait");
    const auto sample = sample_process(family.pid());
    REQUIRE(sample);
    CHECK(sample->parent == ::getpid());
    CHECK(sample->resident_bytes > 0);
}

TEST_CASE("processes are found by a whole entry of their environment") {
    const Family family;
    CHECK(contains(processes_with_environment("POSTER_TEST_MARK=family"), family.pid()));
    CHECK_FALSE(contains(processes_with_environment("POSTER_TEST_MARK=fam"), family.pid()));
    CHECK_FALSE(contains(processes_with_environment("TEST_MARK=family"), family.pid()));
}

TEST_CASE("a process is alive until it has ended, reaped or not, and no other has its identity") {
    ProcessIdentity self = self_identity();
    CHECK(is_alive(self));
    ++self.start_ticks;
    CHECK_FALSE(is_alive(self));
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT) == 0);
    CHECK_FALSE(start_ticks(child));
    ::waitpid(child, nullptr, 0);
    CHECK_FALSE(start_ticks(child));
    CHECK(command_of(child).empty());
    CHECK_FALSE(sample_process(child));
}

TEST_CASE("this machine has a name and a boot") {
    CHECK_FALSE(host_name().empty());
    CHECK(boot_id().size() == 36);
    CHECK(oom_kill_count() <= oom_kill_count());
}

TEST_CASE("words to a reader that has gone away kill nobody") {
    const pid_t child = ::fork();
    if (child == 0) {
        int ends[2];
        if (::pipe(ends) != 0) ::_exit(1);
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[0]);
        ::signal(SIGPIPE, SIG_DFL);
        say("nobody reads this");
        ::close(STDERR_FILENO);
        say("nor this");
        ::_exit(7);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("poster's words carry its name on each line") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const Fd reader{ends[0]};
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        say("one\ntwo\n");
        complain(UsageError{"three", "four"});
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string words;
    char chunk[256];
    for (ssize_t got; (got = ::read(reader.get(), chunk, sizeof chunk)) > 0;) words.append(chunk, std::size_t(got));
    ::waitpid(child, nullptr, 0);
    CHECK(words == "poster: one\nposter: two\nposter: three\nposter: help: four\n");
}
