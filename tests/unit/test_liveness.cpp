#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>

#include "error.hpp"
#include "liveness.hpp"
#include "store_fixture.hpp"

using namespace poster;

namespace {

const std::string kId = "20260101-000000-aaaa";

// A process that holds the attempt as a supervisor does, until it is killed.
class Owner {
public:
    explicit Owner(const StoreFixture& fixture) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        pid_ = in_child([&] {
            make_directories(fixture.attempt_dir(kId));
            const Fd lock = lock_attempt(fixture.attempt_dir(kId));
            fixture.write(kId, fixture.run_record(kId), new_attempt_record(1, RunSpec{}));
            beat(fixture.attempt_dir(kId));
            if (::write(ends[1], "x", 1) != 1) return 1;
            for (;;) ::pause();
        });
        char byte = 0;
        if (::read(ends[0], &byte, 1) != 1) throw std::runtime_error("owner");
        ::close(ends[0]);
        ::close(ends[1]);
    }
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { kill(); }
    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

private:
    pid_t pid_ = 0;
};

LifeSign look(const StoreFixture& fixture) {
    return look_for_life(fixture.attempt_dir(kId), read_json(fixture.attempt_dir(kId) / "attempt.json").value());
}

void edit_attempt(const StoreFixture& fixture, const json& changes) {
    const fs::path file = fixture.attempt_dir(kId) / "attempt.json";
    json attempt = read_json(file).value();
    attempt.update(changes);
    write_json(file, attempt);
}

void make_old(const fs::path& file) {
    const timespec past[2] = {{1'000'000, 0}, {1'000'000, 0}};
    ::utimensat(AT_FDCWD, file.c_str(), past, 0);
}

} // namespace

TEST_CASE("an attempt is alive while its poster is, and dead at once when that is killed") {
    const auto shared = GENERATE(values<std::string>({"0", "1"}));
    Variable assumed{"POSTER_ASSUME_SHARED", shared};
    StoreFixture fixture;
    Owner owner{fixture};
    CHECK(look(fixture).life == Life::alive);
    owner.kill();
    LifeSign sign = look(fixture);
    CHECK(sign.life == Life::dead);
    CHECK_FALSE(sign.rebooted);
    CHECK(sign.heartbeat_age_s.value() < 60);
    CHECK(claim_attempt(fixture.attempt_dir(kId), sign));
}

TEST_CASE("a child that outlives its poster does not hold the lock") {
    StoreFixture fixture;
    make_directories(fixture.attempt_dir(kId));
    const Fd lock = lock_attempt(fixture.attempt_dir(kId));
    CHECK((::fcntl(lock.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_THROWS_AS(lock_attempt(fixture.attempt_dir(kId)), Error);
}

TEST_CASE("another boot id means that the machine was restarted") {
    StoreFixture fixture;
    Owner{fixture}.kill();
    edit_attempt(fixture, {{"boot_id", "another"}});
    const LifeSign sign = look(fixture);
    CHECK(sign.life == Life::dead);
    CHECK(sign.rebooted);
}

TEST_CASE("a pid that was used again is not taken for the poster") {
    Variable assumed{"POSTER_ASSUME_SHARED", "1"};
    StoreFixture fixture;
    fixture.write(kId, fixture.run_record(kId), new_attempt_record(1, RunSpec{}));
    CHECK(look(fixture).life == Life::alive);
    edit_attempt(fixture, {{"start_ticks", 1}});
    CHECK(look(fixture).life == Life::dead);
}

TEST_CASE("on a shared file system nothing is locked, and another host's run is never called dead") {
    Variable assumed{"POSTER_ASSUME_SHARED", "1"};
    StoreFixture fixture;
    Owner{fixture}.kill();
    CHECK_FALSE(lock_attempt(fixture.attempt_dir(kId)));
    edit_attempt(fixture, {{"host", "elsewhere"}});
    make_old(fixture.attempt_dir(kId) / "heartbeat");
    LifeSign sign = look(fixture);
    CHECK(sign.life == Life::unknown);
    CHECK(sign.heartbeat_age_s.value() > 1e6);
    CHECK_FALSE(claim_attempt(fixture.attempt_dir(kId), sign));
}

TEST_CASE("on a shared file system a restarted machine is told from a namesake by its heartbeat") {
    auto [old, life] = GENERATE(table<bool, Life>({{true, Life::dead}, {false, Life::unknown}}));
    Variable assumed{"POSTER_ASSUME_SHARED", "1"};
    StoreFixture fixture;
    Owner{fixture}.kill();
    edit_attempt(fixture, {{"boot_id", "another"}});
    if (old) make_old(fixture.attempt_dir(kId) / "heartbeat");
    CHECK(look(fixture).life == life);
}

TEST_CASE("a copy of a running run's directory does not count as dead") {
    StoreFixture fixture;
    Owner owner{fixture};
    const fs::path copy = fixture.place.path() / "copy";
    fs::copy(fixture.attempt_dir(kId), copy, fs::copy_options::recursive);
    CHECK(look_for_life(copy, read_json(copy / "attempt.json").value()).life == Life::alive);
}

TEST_CASE("of ten processes that look at the same moment one gets the claim") {
    const auto shared = GENERATE(values<std::string>({"0", "1"}));
    Variable assumed{"POSTER_ASSUME_SHARED", shared};
    StoreFixture fixture;
    Owner{fixture}.kill();
    // The claim of one that died over it.
    if (shared == "1") {
        exit_status(in_child([&] {
            LifeSign sign = look(fixture);
            return claim_attempt(fixture.attempt_dir(kId), sign) ? 0 : 1;
        }));
    }
    int go[2];
    int stay[2];
    REQUIRE(::pipe2(go, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(stay, O_CLOEXEC) == 0);
    std::vector<pid_t> children;
    for (int i = 0; i < 10; ++i) {
        children.push_back(in_child([&] {
            ::close(go[1]);
            ::close(stay[1]);
            char byte = 0;
            if (::read(go[0], &byte, 1) != 0) return 2; // all at once, when the parent closes it
            LifeSign sign = look(fixture);
            const bool claimed = sign.life == Life::dead && claim_attempt(fixture.attempt_dir(kId), sign);
            ::close(go[0]);
            const Fd told{::open((fixture.place.path() / "told").c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600)};
            if (!write_all(told.get(), "x")) return 3;
            if (::read(stay[0], &byte, 1) != 0) return 2; // holds it until all have looked
            return claimed ? 10 : 0;
        }));
    }
    ::close(go[0]);
    ::close(go[1]);
    while (read_file(fixture.place.path() / "told").value_or("").size() < 10) ::usleep(1000);
    ::close(stay[0]);
    ::close(stay[1]);
    int claims = 0;
    for (const pid_t child : children) claims += exit_status(child);
    CHECK(claims == 10);
}

TEST_CASE("a claim on a shared file system passes to the process that goes on, and can be given back") {
    Variable assumed{"POSTER_ASSUME_SHARED", "1"};
    StoreFixture fixture;
    Owner{fixture}.kill();
    LifeSign sign = look(fixture);
    const fs::path dir = fixture.attempt_dir(kId);
    REQUIRE(claim_attempt(dir, sign));
    CHECK(exit_status(in_child([&] {
              LifeSign other = look(fixture);
              if (claim_attempt(dir, other)) return 1;
              take_over_claim(sign);
              return read_json(sign.claim_file).value().at("pid") == ::getpid() ? 0 : 2;
          })) == 0);
    LifeSign again = look(fixture);
    REQUIRE(claim_attempt(dir, again)); // its new owner has died
    CHECK(again.claim_file != sign.claim_file);
    release_claim(dir, again);
    for (const auto& entry : fs::directory_iterator(dir))
        CHECK_THAT(entry.path().filename(), !Catch::Contains("claim"));
}
