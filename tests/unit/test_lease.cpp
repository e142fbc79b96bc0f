// Leases: one holder, whoever asks, and free when the holder is gone.

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include <catch2/catch.hpp>

#include <files.hpp>
#include <lease.hpp>
#include <liveness.hpp>
#include <nlohmann/json.hpp>

#include "odd_file_system.hpp"
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
    const OddFileSystem odd;
    // As exFAT and some of FUSE and SMB are; and NFS where the answer was lost and the request came twice.
    const auto error = GENERATE(0, EPERM, EOPNOTSUPP, EEXIST);
    if (error == EEXIST) odd.on_link([](const char* from, const char* to) { return real_link(from, to), EEXIST; });
    if (error == EPERM || error == EOPNOTSUPP) odd.on_link([=](const char*, const char*) { return error; });
    CHECK(Lease::acquire(folder.path(), "first"));
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

TEST_CASE("who was about to renew a lease keeps it from the one who takes it for free") {
    const TemporaryDirectory folder;
    const OddFileSystem odd;
    const auto held = folder.path() / "s3.7";
    replace_file(held, R"({"host":"elsewhere","boot_id":"x","pid":1,"start_ticks":1})");
    fs::last_write_time(held, fs::file_time_type::clock::now() - 2 * Lease::kDuration);
    odd.on_link([&](const char* from, const char* to) {
        fs::last_write_time(held, fs::file_time_type::clock::now());
        return real_link(from, to) == 0 ? 0 : errno;
    });
    CHECK_FALSE(Lease::acquire(folder.path(), "s3"));
    CHECK(fs::exists(held));
    CHECK_FALSE(fs::exists(folder.path() / "s3.8"));
}

// Both are process 1, thread 1, on a host of one name.
TEST_CASE("two containers that see one store tell their leases apart") {
    if (::geteuid() != 0) return;
    const TemporaryDirectory folder;
    const auto ask = [&] {
        if (::unshare(CLONE_NEWPID) != 0) return 90;
        return exit_status(in_child([&] {
            const std::string mine = self_record().at("pid_namespace");
            int held = 0;
            for (int round = 0; round < 500; ++round) {
                const auto lease = Lease::acquire(folder.path(), "s3");
                if (!lease) continue;
                ++held;
                int last = 0;
                for (const auto& entry : fs::directory_iterator(folder.path()))
                    if (const std::string file = entry.path().filename(); file.starts_with("s3."))
                        last = std::max(last, std::stoi(file.substr(3)));
                const auto record = read_json(folder.path() / ("s3." + std::to_string(last)));
                if (text_of(record.value_or(json::object()), "pid_namespace") != mine) return 91;
            }
            return held > 0 ? 0 : 92;
        }));
    };
    const pid_t one = in_child(ask), other = in_child(ask);
    CHECK(exit_status(one) == 0);
    CHECK(exit_status(other) == 0);
}

} // namespace poster
