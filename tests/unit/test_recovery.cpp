#include <catch2/catch.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <csignal>

#include "recovery.hpp"
#include "store_fixture.hpp"

using namespace poster;
using namespace std::chrono_literals;

namespace {

const std::string kId = "20260101-000000-aaaa";

// A run whose poster has been killed.
void abandon(const StoreFixture& fixture, const json& changes = json::object()) {
    exit_status(in_child([&] {
        make_directories(fixture.attempt_dir(kId));
        const Fd lock = lock_attempt(fixture.attempt_dir(kId));
        json attempt = new_attempt_record(1, RunSpec{});
        attempt["child_pid"] = 4'000'000;
        attempt["child_start_ticks"] = 1;
        attempt.update(changes);
        fixture.write(kId, fixture.run_record(kId), attempt);
        return 0;
    }));
    fixture.store.mark_active(kId);
}

// A process of the run; `script` must print a line once it is ready.
class Child {
public:
    Child(const std::string& script, const std::string& run_id) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], 1);
            const std::string assignment = "POSTER_RUN_ID=" + run_id;
            const char* environment[] = {"PATH=/usr/bin:/bin", assignment.c_str(), nullptr};
            const char* words[] = {"sh", "-c", script.c_str(), nullptr};
            ::execve("/bin/sh", const_cast<char**>(words), const_cast<char**>(environment));
            ::_exit(127);
        }
        ::close(ends[1]);
        char byte = 0;
        if (::read(ends[0], &byte, 1) != 1) throw std::runtime_error("child");
        ::close(ends[0]);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    pid_t pid() const { return pid_; }
    int wait() {
        int status = 0;
        ::waitpid(std::exchange(pid_, 0), &status, 0);
        return status;
    }

private:
    pid_t pid_ = 0;
};

void make_old(const fs::path& file) {
    const timespec past[2] = {{1'000'000, 0}, {1'000'000, 0}};
    ::utimensat(AT_FDCWD, file.c_str(), past, 0);
}

} // namespace

TEST_CASE("a run whose poster was killed is claimed, and recorded as lost") {
    auto [boot, reason] = GENERATE(table<std::string, std::string>(
        {{boot_id(), "lost: poster was killed"}, {"another", "lost: the machine was restarted"}}));
    StoreFixture fixture;
    abandon(fixture, {{"boot_id", boot}, {"started_at", "2026-01-01T00:00:00.000Z"}, {"extra", 7}});
    replace_file(fixture.attempt_dir(kId) / "output.log", "x");
    const timespec times[2] = {{1'767'225'610, 500'000'000}, {1'767'225'610, 500'000'000}}; // 10.5 s later
    ::utimensat(AT_FDCWD, (fixture.attempt_dir(kId) / "output.log").c_str(), times, 0);
    auto claimed = claim_abandoned(fixture.store);
    REQUIRE(claimed.size() == 1);
    CHECK(claimed[0].id == kId);
    CHECK_FALSE(claimed[0].has_outcome);
    CHECK_FALSE(claimed[0].child_alive);
    CHECK(claim_abandoned(fixture.store).empty()); // held
    const Outcome outcome = record_lost(fixture.store, claimed[0]);
    CHECK(outcome.status == Status::lost);
    CHECK(outcome.reason == reason);
    CHECK(outcome.duration == 10'500ms);
    const json record = read_json(fixture.attempt_dir(kId) / "attempt.json").value();
    CHECK(record.at("status") == "lost");
    CHECK(record.at("ended_at") == "2026-01-01T00:00:10.500Z");
    CHECK(record.at("extra") == 7);
    CHECK_THAT(read_file(fixture.store.dir() / "feed" / (host_name() + ".jsonl")).value(),
               Catch::Contains("\"status\":\"lost\""));
}

TEST_CASE("an outcome that is there already is kept") {
    StoreFixture fixture;
    json attempt = fixture.attempt_record();
    Outcome outcome;
    outcome.exit_code = 3;
    outcome.status = Status::failed;
    put_outcome(attempt, outcome);
    abandon(fixture, attempt);
    json dead = read_json(fixture.attempt_dir(kId) / "attempt.json").value();
    dead["start_ticks"] = 1; // the record was made by this process
    write_json(fixture.attempt_dir(kId) / "attempt.json", dead);
    auto claimed = claim_abandoned(fixture.store);
    REQUIRE(claimed.size() == 1);
    CHECK(claimed[0].has_outcome);
    CHECK(record_lost(fixture.store, claimed[0]).status == Status::failed);
}

TEST_CASE("a run that is being made is left alone, and forgotten when it never was") {
    auto [old, left] = GENERATE(table<bool, std::size_t>({{false, 1}, {true, 0}}));
    StoreFixture fixture;
    make_directories(fixture.store.run_dir(kId));
    fixture.store.mark_active(kId);
    if (old) make_old(fixture.store.dir() / "active" / kId);
    CHECK(claim_abandoned(fixture.store).empty());
    CHECK(fixture.store.active_runs().size() == left);
}

TEST_CASE("a run that lives is not claimed") {
    StoreFixture fixture;
    make_directories(fixture.attempt_dir(kId));
    const Fd lock = lock_attempt(fixture.attempt_dir(kId));
    fixture.write(kId, fixture.run_record(kId), new_attempt_record(1, RunSpec{}));
    fixture.store.mark_active(kId);
    CHECK(claim_abandoned(fixture.store).empty());
    CHECK(fixture.store.active_runs().size() == 1);
}

TEST_CASE("a process does not recover the run it belongs to") {
    StoreFixture fixture;
    abandon(fixture);
    Variable inside{"POSTER_RUN_ID", kId};
    CHECK(claim_abandoned(fixture.store).empty());
}

TEST_CASE("ten recoveries at once record one outcome") {
    const auto shared = GENERATE(values<std::string>({"0", "1"}));
    Variable assumed{"POSTER_ASSUME_SHARED", shared};
    StoreFixture fixture;
    abandon(fixture);
    std::vector<pid_t> children;
    for (int i = 0; i < 10; ++i) {
        children.push_back(in_child([&] {
            int recovered = 0;
            for (auto& run : claim_abandoned(fixture.store)) {
                if (run.has_outcome) return 50;
                record_lost(fixture.store, run);
                fixture.store.unmark_active(run.id);
                release_claim(fixture.attempt_dir(run.id), run.sign);
                ++recovered;
            }
            return recovered;
        }));
    }
    int recovered = 0;
    for (const pid_t child : children) recovered += exit_status(child);
    CHECK(recovered == 1);
}

TEST_CASE("processes of an abandoned run are found by their environment and end with SIGTERM") {
    StoreFixture fixture;
    abandon(fixture);
    Child child{"trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", kId};
    {
        auto claimed = claim_abandoned(fixture.store);
        REQUIRE(claimed.size() == 1);
        CHECK(claimed[0].child_alive);
    }
    end_processes(kId, 0, 5s);
    const int status = child.wait();
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("processes that ignore SIGTERM, are stopped, or left the session are killed after the grace period") {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const auto script = GENERATE(values<std::string>({"trap '' TERM; echo ready; while :; do sleep 0.05; done",
                                                      "trap '' TERM; setsid sleep 1000 & echo ready; wait",
                                                      "trap '' TERM; echo ready; while :; do kill -STOP $$; done"}));
    Child child{script, kId};
    const auto begin = std::chrono::steady_clock::now();
    end_processes(kId, child.pid(), 200ms, start_ticks(child.pid()).value());
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(took >= 150ms);
    CHECK(took < 5s);
    CHECK(processes_with_environment("POSTER_RUN_ID=" + kId).empty());
    CHECK(WTERMSIG(child.wait()) == SIGKILL);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) continue;
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_CASE("a process that only has the pid of the run's child is not touched") {
    Child stranger{"echo ready; while :; do sleep 0.05; done", "another-run"};
    auto [ticks_known] = GENERATE(table<bool>({{true}, {false}}));
    end_processes(kId, stranger.pid(), 50ms, ticks_known ? start_ticks(stranger.pid()).value() - 1 : 0);
    CHECK(start_ticks(stranger.pid()));
}

TEST_CASE("nobody ends himself or those he descends from") {
    CHECK(exit_status(in_child([&] {
              ::setenv("POSTER_RUN_ID", kId.c_str(), 1);
              const pid_t parent = ::getpid();
              return exit_status(in_child([&] {
                  end_processes(kId, parent, 0ms, start_ticks(parent).value_or(0));
                  return 0;
              }));
          })) == 0);
}

TEST_CASE("a run that was fetched is recorded as lost, and nothing that it names is ended") {
    StoreFixture fixture;
    Child stranger{"echo ready; while :; do sleep 0.05; done", "another-run"};
    Child left{"echo ready; while :; do sleep 0.05; done", kId};
    abandon(fixture, {{"child_pid", stranger.pid()}, {"child_start_ticks", start_ticks(stranger.pid()).value()}});
    fs::remove(fixture.attempt_dir(kId) / "lock");
    auto claimed = claim_abandoned(fixture.store);
    REQUIRE(claimed.size() == 1);
    CHECK(claimed[0].fetched);
    CHECK_FALSE(claimed[0].child_alive);
    CHECK(record_lost(fixture.store, claimed[0]).reason == "lost: it went on when this copy of it was made");
}

TEST_CASE("what a run with an outcome left behind lives on") {
    StoreFixture fixture;
    json attempt = json::object();
    put_outcome(attempt, Outcome{});
    abandon(fixture, attempt);
    Child left{"echo ready; while :; do sleep 0.05; done", kId};
    auto claimed = claim_abandoned(fixture.store);
    REQUIRE(claimed.size() == 1);
    CHECK(claimed[0].has_outcome);
    CHECK_FALSE(claimed[0].child_alive);
}
