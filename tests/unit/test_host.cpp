#include <catch2/catch.hpp>

#include <event_reader.hpp>
#include <host.hpp>
#include <ledger.hpp>
#include <records.hpp>
#include <run_record.hpp>
#include <worker.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <map>
#include <mutex>
#include <set>

#include "callback_fixture.hpp"
#include "store_fixture.hpp"

using namespace poster;
using namespace std::chrono_literals;

namespace {

// What the hooks of the callbacks below have done, in order.
std::vector<std::string> g_seen;
std::mutex g_mutex;

void see(const std::string& what) {
    std::lock_guard lock(g_mutex);
    g_seen.push_back(what);
}

struct Good : Callback {
    void on_start(const Run&) override { see("start"); }
    void on_event(const Run&, const Event& event) override { see("event " + std::string(event.kind())); }
    void on_step(const Run&, const Step& step) override { see("step of " + std::to_string(step.events.size())); }
    void on_end(const Run&, const Outcome& outcome, Deadline) override {
        see("end " + std::string(to_string(outcome.status)));
    }
};
struct Throwing : Good {
    void on_start(const Run&) override { throw std::runtime_error("no luck"); }
};
struct Hanging : Good {
    void on_start(const Run&) override { ::poll(nullptr, 0, -1); }
};

struct Listening : Callback {
    void on_event(const Run&, const Event& event) override { see("event " + std::string(event.kind())); }
};

struct Ticking : Good {
    void on_tick(const Run&) override { see("tick"); }
    Milliseconds interval() const override { return 1ms; }
};

template <typename Kind>
CallbackEntry entry_of() {
    return callback_entry<Kind>("toy", "", {}, [](const Settings&) { return Activation{true, ""}; });
}

struct Stage {
    explicit Stage(const CallbackEntry& entry, Milliseconds budget = 10s) : fixture({"true"}) {
        g_seen.clear();
        ledger = std::make_unique<Ledger>(fixture.run.attempt_dir(), "run", 1);
        worker = std::make_shared<Worker>(entry, fixture.settings, fixture.run, *ledger, budget, [fd = changed] {
            std::uint64_t one = 1;
            if (::write(fd, &one, sizeof one) < 0) std::abort();
        });
    }
    void wait_for_end() {
        worker->end(Outcome{}, Deadline::max());
        while (!worker->ended()) {
            pollfd poll_it{changed, POLLIN, 0};
            ::poll(&poll_it, 1, 10);
        }
    }
    CallbackFixture fixture;
    int changed = ::eventfd(0, EFD_CLOEXEC);
    std::unique_ptr<Ledger> ledger;
    std::shared_ptr<Worker> worker;
};

// A host, in a process of its own, that is told of the start and of the end of a run at once. False: it says no `done`.
bool accompany(const CallbackFixture& fixture, const Outcome& outcome) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
    const Fd supervisor{ends[0]};
    Fd link{ends[1]};
    LinkMessage started, ended;
    started.kind = LinkKind::started;
    ended.kind = LinkKind::ended;
    nlohmann::json record = nlohmann::json::object();
    put_outcome(record, outcome);
    ended.text = record.dump();
    send_message(supervisor.get(), started);
    send_message(supervisor.get(), ended);
    const pid_t host = in_child([&] {
        HostJob job;
        job.run = fixture.run;
        job.settings = fixture.settings;
        job.link = std::move(link);
        return run_callback_host(std::move(job));
    });
    LinkMessage answer;
    return exit_status(host) == 0 && receive_message(supervisor.get(), answer) == Receive::message &&
           answer.kind == LinkKind::done;
}

// Kept: the thread of a worker may outlast its test.
Stage& stage_for(const CallbackEntry& entry, Milliseconds budget = 10s) {
    static auto& stages = *new std::vector<std::unique_ptr<Stage>>;
    return *stages.emplace_back(std::make_unique<Stage>(entry, budget));
}

} // namespace

TEST_CASE("hooks run in order, and what was logged reaches the callback before its end hook") {
    static const auto entry = entry_of<Good>(); // a worker's thread may outlast its test
    auto& stage = stage_for(entry);
    append_line(stage.fixture.run.attempt_dir() / "events" / "h.1.jsonl", R"({"kind":"metric","loss":1})");
    stage.worker->start();
    stage.wait_for_end();
    CHECK(g_seen == std::vector<std::string>{"start", "event metric", "step of 1", "end finished"});
    CHECK(stage.ledger->mark("toy", "end") == Ledger::Mark::ended);
}

TEST_CASE("a hook that throws is in the ledger, and the end hook still runs") {
    static const auto entry = entry_of<Throwing>();
    auto& stage = stage_for(entry);
    stage.worker->start();
    stage.wait_for_end();
    CHECK(g_seen == std::vector<std::string>{"end finished"});
    CHECK(read_file(stage.fixture.run.attempt_dir() / "hooks.jsonl")->find("no luck") != std::string::npos);
}

TEST_CASE("a hook that hangs is given up after its time, and a fresh object runs the end hook") {
    static const auto entry = entry_of<Hanging>(); // the thread that was given up goes on using it
    auto* stage = &stage_for(entry, 20ms);
    stage->worker->start();
    while (!stage->worker->overdue_at()) ::poll(nullptr, 0, 1);
    stage->worker->end(Outcome{}, Deadline::max());
    auto successor = stage->worker->abandon();
    REQUIRE(successor);
    stage->worker = successor;
    while (!successor->ended()) ::poll(nullptr, 0, 1);
    CHECK(g_seen == std::vector<std::string>{"end finished"});
    CHECK(read_file(stage->fixture.run.attempt_dir() / "hooks.jsonl")->find("timeout") != std::string::npos);
}

TEST_CASE("a hook that took the host with it is not tried again; one that was cut short is, once") {
    static const auto entry = entry_of<Good>(); // a worker's thread may outlast its test
    auto [hook, begins, faulted, seen] = GENERATE(table<std::string, int, bool, std::vector<std::string>>({
        {"start", 1, true, {"end finished"}},
        {"end", 1, true, {"start"}},
        {"start", 1, false, {"start", "end finished"}},
        {"end", 1, false, {"start", "end finished"}},
        {"start", 2, false, {"end finished"}},
        {"end", 2, false, {"start"}},
    }));
    CAPTURE(hook, begins, faulted);
    auto& stage = stage_for(entry);
    for (int i = 0; i < begins; ++i) stage.ledger->write("toy", hook, "begin");
    stage.ledger->settle_begun(faulted);
    stage.worker->start();
    while (stage.ledger->mark("toy", "start") != Ledger::Mark::ended) ::poll(nullptr, 0, 1);
    stage.wait_for_end();
    CHECK(g_seen == seen);
    const bool crashed = faulted || begins == 2;
    CHECK((read_file(stage.fixture.run.attempt_dir() / "hooks.jsonl")->find("crashed") != std::string::npos) ==
          crashed);
}

TEST_CASE("a host that was started again after it was killed ticks on, after a crash it does not") {
    static const auto entry = entry_of<Ticking>();
    const bool ticks = GENERATE(true, false);
    auto& stage = stage_for(entry);
    stage.ledger->write("toy", "start", "done");
    stage.worker->start(ticks);
    const auto seen = [] {
        std::lock_guard lock(g_mutex);
        return !g_seen.empty() && g_seen.front() == "tick";
    };
    while (ticks && !seen()) ::poll(nullptr, 0, 1);
    stage.wait_for_end();
    CHECK(seen() == ticks);
}

TEST_CASE("a run of a few milliseconds is over without the callbacks that can have nothing of it, and complete") {
    auto [status, milliseconds, tracked] = GENERATE(table<Status, int, bool>({
        {Status::finished, 5, false},
        {Status::failed, 29, false},
        {Status::finished, 30, true},
        {Status::lost, 0, true}, // its duration says nothing
    }));
    CAPTURE(to_string(status), milliseconds);
    CallbackFixture fixture({"true"});
    Outcome outcome;
    outcome.status = status;
    outcome.duration = Milliseconds{milliseconds};
    outcome.ended_at = WallTime{1s};
    nlohmann::json attempt = nlohmann::json::object();
    put_outcome(attempt, outcome);
    write_json(fixture.run.attempt_dir() / "attempt.json", attempt);
    write_json(fixture.run.dir / "run.json", nlohmann::json::object());
    CHECK_FALSE(end_hooks_complete(fixture.run.attempt_dir(), fixture.settings));
    REQUIRE(accompany(fixture, outcome));
    const Ledger ledger(fixture.run.attempt_dir(), "run", 1);
    for (const char* name : {"tensorboard", "wandb", "mlflow"})
        CHECK((ledger.mark(name, "end") == Ledger::Mark::ended) == tracked);
    for (const char* name : {"config", "metrics", "logging", "local_directory"})
        CHECK(ledger.mark(name, "end") == Ledger::Mark::ended);
    CHECK(end_hooks_complete(fixture.run.attempt_dir(), fixture.settings));
}

TEST_CASE("a callback that only listens is made at once, and hears what a short run logged") {
    static const auto entry = entry_of<Listening>();
    auto& stage = stage_for(entry);
    CHECK_FALSE(stage.worker->may_start_late());
    append_line(stage.fixture.run.attempt_dir() / "events" / "h.1.jsonl", R"({"kind":"metric","loss":1})");
    stage.worker->start();
    stage.wait_for_end();
    CHECK(g_seen == std::vector<std::string>{"event metric"});
}

TEST_CASE("a prepare hook that was cut short is not tried again: the child may have been started") {
    CallbackFixture fixture({"true"});
    Ledger ledger(fixture.run.attempt_dir(), "run", 1);
    ledger.write("toy", "prepare", "begin");
    ledger.settle_begun(false);
    CHECK(ledger.mark("toy", "prepare") == Ledger::Mark::ended);
}

TEST_CASE("a ledger ending in half a line keeps its whole lines and goes on with whole ones") {
    CallbackFixture fixture({"true"});
    auto file = fixture.run.attempt_dir() / "hooks.jsonl";
    replace_file(file, "{\"callback\":\"a\",\"hook\":\"end\",\"state\":\"done\"}\n{\"callback\":\"b\",\"ho");
    Ledger(fixture.run.attempt_dir(), "run", 1).write("c", "end", "done");
    Ledger ledger(fixture.run.attempt_dir(), "run", 1);
    CHECK(ledger.mark("a", "end") == Ledger::Mark::ended);
    CHECK(ledger.mark("b", "end") == Ledger::Mark::none);
    CHECK(ledger.mark("c", "end") == Ledger::Mark::ended);
}

TEST_CASE("an event reader hands on whole lines once, and passes over what is no event") {
    CallbackFixture fixture({"true"});
    auto dir = fixture.run.attempt_dir() / "events";
    EventReader reader(dir);
    std::vector<std::string> kinds;
    auto read = [&] {
        kinds.clear();
        reader.read_all({[](std::string_view) { return true; },
                         [&](const Event& event) {
                             kinds.push_back(std::string(event.writer()) + " " + std::string(event.kind()));
                         },
                         [](const Step&) {}});
        return kinds;
    };
    CHECK(read().empty());
    replace_file(dir / "h.1.jsonl", "{\"kind\":\"a\"}\nnonsense\n{\"kind\":\"b\"}\n{\"kind\":\"ha");
    CHECK(read() == std::vector<std::string>{"h.1 a", "h.1 b"});
    CHECK(read().empty());
    Fd file = open_append(dir / "h.1.jsonl");
    write_all(file.get(), "lf\"}\n");
    append_line(dir / "g.2.jsonl", R"({"kind":"c"})");
    CHECK(read() == std::vector<std::string>{"g.2 c", "h.1 half"});
}

TEST_CASE("an event reader hands on a callback's kinds only") {
    CallbackFixture fixture({"true"});
    auto dir = fixture.run.attempt_dir() / "events";
    replace_file(dir / "h.1.jsonl",
                 "{\"kind\":\"a\"}\n{\"kind\":\"b\"}\n{ \"kind\": \"a\"}\n{\"x\":1,\"kind\":\"b\"}\n");
    EventReader reader(dir);
    std::vector<std::string> lines;
    std::size_t steps = 0;
    reader.read_all({[](std::string_view kind) { return kind == "a"; },
                     [&](const Event& event) { lines.emplace_back(event.line()); },
                     [&](const Step& step) { steps += step.events.size(); }});
    CHECK(lines == std::vector<std::string>{R"({"kind":"a"})", R"({ "kind": "a"})"});
    CHECK(steps == 2);
}

TEST_CASE("an event reader takes much in small steps, from all writers in turn, and none twice") {
    CallbackFixture fixture({"true"});
    auto dir = fixture.run.attempt_dir() / "events";
    constexpr int kLines = 40000;
    for (const char* writer : {"h.1.jsonl", "h.2.jsonl", "h.3.jsonl"}) {
        std::string text;
        for (int i = 0; i < kLines; ++i) text += "{\"kind\":\"metric\",\"step\":" + std::to_string(i) + "}\n";
        replace_file(dir / writer, text);
    }
    EventReader reader(dir);
    std::map<std::string, int> next;
    std::size_t largest = 0, of_all = 0;
    bool in_order = true;
    const EventReader::Visitor visitor{[](std::string_view) { return true; },
                                       [&](const Event& event) {
                                           auto& expected = next[std::string(event.writer())];
                                           in_order = in_order && event.data()["step"] == expected++;
                                       },
                                       [&](const Step& step) {
                                           std::size_t bytes = 0;
                                           for (const auto& event : step.events) bytes += event.line().size() + 1;
                                           largest = std::max(largest, bytes);
                                       }};
    while (reader.read(visitor)) {
        of_all = std::max(of_all, next.size());
        if (next.size() == 3) CHECK(next["h.1"] < 3 * (next["h.2"] + kLines / 3));
    }
    CHECK(in_order);
    CHECK(largest <= EventReader::kStepBytes);
    CHECK(of_all == 3);
    CHECK(next == std::map<std::string, int>{{"h.1", kLines}, {"h.2", kLines}, {"h.3", kLines}});
}

TEST_CASE("an event reader reads a long line, and passes over one without measure") {
    CallbackFixture fixture({"true"});
    auto dir = fixture.run.attempt_dir() / "events";
    auto line = [](const char* kind, std::size_t bytes) {
        return "{\"kind\":\"" + std::string(kind) + "\",\"text\":\"" + std::string(bytes, 'x') + "\"}\n";
    };
    replace_file(dir / "h.1.jsonl", line("a", 10) + line("b", 3 * EventReader::kStepBytes) +
                                        line("c", EventReader::kLongestLine + 100) + line("d", 10));
    replace_file(dir / "h.2.jsonl", line("e", 10));
    EventReader reader(dir);
    std::set<std::string> kinds;
    reader.read_all({[](std::string_view) { return true; }, [&](const Event& event) { kinds.emplace(event.kind()); },
                     [](const Step&) {}});
    CHECK(kinds == std::set<std::string>{"a", "b", "d", "e"});
}

TEST_CASE("run.json keeps fields it does not know when a section is merged, and one that is replaced is forgotten") {
    CallbackFixture fixture({"true"});
    auto file = fixture.run.dir / "run.json";
    replace_file(file, R"({"format":1,"of_the_future":7,"hardware":{"a":1}})");
    RunRecord record(file);
    record.merge("hardware", {{"b", 2}});
    record.flush();
    CHECK(nlohmann::json::parse(*read_file(file)) ==
          nlohmann::json::parse(R"({"format":1,"of_the_future":7,"hardware":{"a":1,"b":2}})"));
    record.merge("hardware", {{"c", 3}});
    record.replace("hardware", {{"d", 4}});
    record.merge("hardware", {{"e", nullptr}});
    CHECK(record.dirty());
    record.flush();
    CHECK_FALSE(record.dirty());
    CHECK(nlohmann::json::parse(*read_file(file)) ==
          nlohmann::json::parse(R"({"format":1,"of_the_future":7,"hardware":{"d":4,"e":null}})"));
}
