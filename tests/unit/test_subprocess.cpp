#include <catch2/catch.hpp>

#include <pthread.h>

#include <chrono>
#include <csignal>

#include "subprocess.hpp"

using namespace poster;
using namespace std::chrono_literals;

TEST_CASE("a helper's output and exit code are collected") {
    auto [script, code, output] = GENERATE(table<std::string, int, std::string>({
        {"echo hi; echo no >&2; exit 3", 3, "hi\n"},
        {"pwd", 0, "/proc\n"},
        {"cat; echo $EXTRA", 0, "value\n"},
        {"kill -9 $$", -1, ""},
        {"exec >&-; sleep 0.05; exit 4", 4, ""},
        {"grep -c . /proc/self/status >/dev/null; grep SigBlk /proc/self/status", 0, "SigBlk:\t0000000000000000\n"},
        {"kill -PIPE $$; echo alive", -1, ""},
    }));
    CAPTURE(script);
    sigset_t all;
    sigset_t former;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &former);
    auto* const former_pipe = ::signal(SIGPIPE, SIG_IGN);
    const auto result = run_command({"sh", "-c", script}, "/proc", {}, {"EXTRA=value"});
    ::signal(SIGPIPE, former_pipe);
    ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
    CHECK(result.exit_code == code);
    CHECK(result.output == output);
}

TEST_CASE("a helper that takes too long is killed with all it started") {
    const auto begin = std::chrono::steady_clock::now();
    const auto result = run_command({"sh", "-c", "echo begun; sleep 100 & sleep 100"}, "", {.timeout = 100ms});
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
    CHECK(result.exit_code == -1);
    CHECK(result.output == "begun\n");
}

TEST_CASE("a helper that leaves something running is not waited for longer than itself") {
    const auto begin = std::chrono::steady_clock::now();
    const auto result = run_command({"sh", "-c", "sleep 5 & echo done"}, "", {.timeout = 60s});
    CHECK(std::chrono::steady_clock::now() - begin < 4s);
    CHECK(result.exit_code == 0);
    CHECK(result.output == "done\n");
}

TEST_CASE("too much output is cut, and told") {
    const auto result = run_command({"head", "-c", "3000000", "/dev/zero"}, "", {.output_bytes = 1000});
    CHECK(result.exit_code == 0);
    CHECK(result.truncated);
    CHECK(result.output.size() == 1000);
}

TEST_CASE("a program is found where execvp would find it") {
    CHECK(find_program("sh", "/"));
    CHECK(find_program("./sh", "/bin") == "/bin/sh");
    CHECK(find_program("bin/sh", "/") == "/bin/sh");
    CHECK_FALSE(find_program("no-such-program", "/"));
    CHECK_FALSE(find_program("/etc/passwd", "/"));
    CHECK_FALSE(find_program("", "/"));
    CHECK(run_command({"no-such-program"}, "/").exit_code == -1);
    CHECK(run_command({}, "/").exit_code == -1);
    CHECK(run_command({"true"}, "/none/of/these").exit_code == -1);
}
