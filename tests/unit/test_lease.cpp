// Leases: one holder, whoever asks, and free when the holder is gone.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include <catch2/catch.hpp>

#include <files.hpp>
#include <lease.hpp>
#include <nlohmann/json.hpp>

#include "store_fixture.hpp"

namespace poster {

TEST_CASE("a lease has one holder, and is free when it is given back") {
    const TemporaryDirectory folder;
    {
        const auto lease = Lease::acquire(folder.path(), "s3");
        REQUIRE(lease);
        CHECK(lease->valid());
        CHECK(Lease::is_held(folder.path(), "s3"));
        CHECK_FALSE(Lease::acquire(folder.path(), "s3"));
        CHECK(Lease::acquire(folder.path(), "s3-copies")); // another name
    }
    CHECK_FALSE(Lease::is_held(folder.path(), "s3"));
    CHECK(Lease::acquire(folder.path(), "s3"));
}

TEST_CASE("a lease of a process that was killed is free at once") {
    const TemporaryDirectory folder;
    const pid_t holder = ::fork();
    if (holder == 0) {
        const auto lease = Lease::acquire(folder.path(), "s3");
        ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(holder, nullptr, 0);
    CHECK(Lease::acquire(folder.path(), "s3"));
}

TEST_CASE("of many who ask at once one alone gets the lease") {
    const TemporaryDirectory folder;
    for (int round = 0; round < 50; ++round) {
        std::atomic<int> holders{0}, most{0};
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                const auto lease = Lease::acquire(folder.path(), "s3");
                if (!lease) return;
                const int now = ++holders;
                int seen = most;
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                std::this_thread::yield();
                --holders;
            });
        threads.clear();
        REQUIRE(most == 1);
    }
}

TEST_CASE("a lease of another machine is free when it was not renewed for long, not before") {
    const TemporaryDirectory folder;
    const auto file = folder.path() / "s3.7";
    replace_file(file, R"({"host":"elsewhere","boot_id":"x","pid":1,"start_ticks":1})");
    CHECK_FALSE(Lease::acquire(folder.path(), "s3"));
    const auto old = fs::file_time_type::clock::now() - 2 * Lease::kDuration;
    fs::last_write_time(file, old);
    auto lease = Lease::acquire(folder.path(), "s3");
    REQUIRE(lease);
    CHECK(fs::exists(folder.path() / "s3.8"));
    CHECK(lease->renew());
}

TEST_CASE("who slept too long learns that another holds the lease now") {
    const TemporaryDirectory folder;
    auto sleeper = Lease::acquire(folder.path(), "s3");
    REQUIRE(sleeper);
    replace_file(folder.path() / "s3.2", R"({"host":"elsewhere","boot_id":"x","pid":1,"start_ticks":1})");
    CHECK_FALSE(sleeper->renew());
    CHECK_FALSE(sleeper->valid());
    sleeper.reset();
    CHECK(Lease::is_held(folder.path(), "s3")); // giving it back took nothing from the other
}

} // namespace poster
