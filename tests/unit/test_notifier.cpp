#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <error.hpp>
#include <poster/group_outcome.hpp>

#include "callback_fixture.hpp"

using namespace poster;
using nlohmann::json;

namespace {

class NotifierFixture : public CallbackFixture {
public:
    NotifierFixture() : CallbackFixture({"python", "train.py", "--api-key", "abc"}) {
        set("chat", "42");
        run.spec.name = "base";
        run.started_at = WallTime{Milliseconds{1'764'000'000'000}};
    }
    void set(const std::string& key, const std::string& value) { settings.set("telegram." + key, value, "test"); }

    // A new object, as a host makes one.
    void begin() { callback = make("telegram"); }
    void log(const std::string& line) {
        if (!callback) begin();
        const Event event(line, "node1.7");
        if (callback->wants(event.kind())) callback->on_event(run, event);
    }
    void metric(double time, const std::string& values, int rank = 0) {
        log(fmt::format(R"({{"kind":"metric","time":{},"step":1,"rank":{},"values":{{{}}}}})", time, rank, values));
    }
    void message(double time, const std::string& level) {
        log(fmt::format(R"({{"kind":"message","time":{},"level":"{}","text":"at {}"}})", time, level, time));
    }
    void end(Status status, const std::string& reason = "as it is") {
        if (!callback) begin();
        Outcome outcome;
        outcome.status = status;
        outcome.reason = reason;
        callback->on_end(run, outcome, {});
    }
    std::vector<std::string> kinds() const {
        std::vector<std::string> all;
        for (const auto& entry : queued) all.push_back(entry.kind);
        return all;
    }
    json facts(std::size_t number = 0) const { return json::parse(queued.at(number).payload); }
    std::string refusal() const {
        for (const auto* entry : registry())
            if (entry->name == "telegram") try {
                    entry->activate(settings);
                } catch (const UsageError& error) {
                    return error.what() + std::string(" | ") + error.help();
                }
        return "";
    }

    std::unique_ptr<Callback> callback;
};

} // namespace

TEST_CASE("it is told how a run ended, if that is wanted") {
    auto [on, status, told] = GENERATE(table<std::string, Status, bool>({
        {"DEFAULT", Status::finished, true},
        {"DEFAULT", Status::failed, true},
        {"DEFAULT", Status::lost, true},
        {"DEFAULT", Status::preempted, false},
        {"end", Status::preempted, true},
        {"failed,killed", Status::finished, false},
        {"failed,killed", Status::killed, true},
        {"", Status::failed, false},
        {"notify", Status::failed, false},
    }));
    NotifierFixture fixture;
    if (on != "DEFAULT") fixture.set("on", on);
    fixture.end(status);
    CHECK(fixture.queued.size() == (told ? 1 : 0));
}

TEST_CASE("the entry of an end has all facts and no secret") {
    NotifierFixture fixture;
    replace_file(fixture.run.attempt_dir() / "output.log", "one\ntwo API_KEY=s3cretvalue\nlast\n");
    replace_file(fixture.run.attempt_dir() / "output.idx", "[1,0,4,1]\n[2,4,28,2]\n");
    fixture.metric(1, R"("loss":0.5)");
    fixture.end(Status::failed, "failed with exit code 1");
    REQUIRE(fixture.queued.size() == 1);
    CHECK(fixture.queued[0].key == "20261123-070213-k7qd/1/telegram/end");
    CHECK(fixture.queued[0].callback == "telegram");
    const json facts = fixture.facts();
    CHECK(facts["name"] == "base");
    CHECK(facts["command"] == "python train.py --api-key '<redacted>'");
    CHECK(facts["reason"] == "failed with exit code 1");
    CHECK(facts["metrics"]["loss"]["value"] == 0.5);
    CHECK(facts["lines_of"] == "stderr");
    CHECK(facts["lines"] == json{"two API_KEY=<redacted>", "last"});
    CHECK(fixture.queued[0].payload.find("s3cret") == std::string::npos);
}

TEST_CASE("a start is told where it is wanted") {
    NotifierFixture fixture;
    SECTION("by default it is not") {}
    SECTION("on = start") {
        fixture.set("on", "start");
    }
    const bool wanted = fixture.settings.text("telegram.on") == "start";
    fixture.make("telegram")->on_start(fixture.run);
    CHECK(fixture.queued.size() == (wanted ? 1 : 0));
}

TEST_CASE("a condition of metrics is told of once per crossing") {
    NotifierFixture fixture;
    fixture.set("when", "val_loss > 10,loss = nan");
    fixture.metric(1, R"("val_loss":9)");
    CHECK(fixture.queued.empty());
    fixture.metric(2, R"("val_loss":11)");
    fixture.metric(3, R"("val_loss":12)");
    fixture.metric(4, R"("acc":1)");
    CHECK(fixture.queued.size() == 1);
    CHECK(fixture.facts()["condition"] == "val_loss > 10");
    fixture.metric(5, R"("val_loss":1)");
    fixture.metric(6, R"("val_loss":20)");
    CHECK(fixture.queued.size() == 2);
    fixture.metric(7, R"("loss":"NaN")");
    CHECK(fixture.queued.size() == 3);
    CHECK(fixture.facts(2)["metrics"]["val_loss"]["value"] == 20);
}

TEST_CASE("of several ranks the lowest decides") {
    NotifierFixture fixture;
    fixture.set("when", "loss > 10");
    fixture.metric(1, R"("loss":20)", 3);
    CHECK(fixture.queued.size() == 1); // nobody else has logged it
    fixture.metric(2, R"("loss":1)", 0);
    fixture.metric(3, R"("loss":30)", 3);
    CHECK(fixture.queued.size() == 1);
    fixture.metric(4, R"("loss":30)", 0);
    CHECK(fixture.queued.size() == 2);
}

TEST_CASE("a metric that swings about a limit does not fill a chat") {
    NotifierFixture fixture;
    fixture.set("when", "loss > 10");
    for (int i = 0; i < 1000; ++i) fixture.metric(i * 0.01, fmt::format(R"("loss":{})", i % 2 == 0 ? 20 : 1));
    CHECK(fixture.queued.size() == 3);
    fixture.metric(100, R"("loss":20)");
    REQUIRE(fixture.queued.size() == 4);
    CHECK(fixture.facts(3)["left_out"] == 497);
}

TEST_CASE("messages at the level or above are told, a few at once and then one a minute") {
    NotifierFixture fixture;
    SECTION("none by default") {
        fixture.message(1, "error");
        CHECK(fixture.queued.empty());
    }
    SECTION("warnings and worse") {
        fixture.set("level", "warning");
        fixture.message(1, "info");
        fixture.message(2, "warning");
        fixture.message(3, "error");
        CHECK(fixture.queued.size() == 2);
        CHECK(fixture.facts(1)["level"] == "error");
        CHECK(fixture.facts(1)["text"] == "at 3");
    }
    SECTION("of a flood a few") {
        fixture.set("on", "message"); // without a level: warning
        for (int i = 0; i < 100; ++i) fixture.message(i * 0.1, "warning");
        CHECK(fixture.queued.size() == 3);
        fixture.message(75, "warning");
        REQUIRE(fixture.queued.size() == 4);
        CHECK(fixture.facts(3)["left_out"] == 97);
    }
}

TEST_CASE("who reads the events again queues the same keys") {
    NotifierFixture fixture;
    fixture.set("when", "loss > 10");
    fixture.set("level", "error");
    const auto log = [&] {
        fixture.begin();
        fixture.metric(1, R"("loss":20)");
        fixture.message(2, "error");
        fixture.log(R"({"kind":"notify","time":3,"text":"hello"})");
        fixture.log(R"({"kind":"image","time":4,"name":"a","path":"images/a/1.png","notify":true})");
        fixture.end(Status::finished);
    };
    log();
    log();
    REQUIRE(fixture.queued.size() == 10);
    for (std::size_t i = 0; i < 5; ++i) CHECK(fixture.queued[i].key == fixture.queued[i + 5].key);
}

TEST_CASE("what the program wants told is told, and images that are to go along") {
    NotifierFixture fixture;
    fixture.log(R"({"kind":"notify","time":3,"text":"converged"})");
    fixture.log(R"({"kind":"image","time":4,"name":"a","path":"images/a/1.png","step":1,"caption":"c","notify":true})");
    fixture.log(R"({"kind":"image","time":5,"name":"a","path":"images/a/2.png","step":2})");
    fixture.log(R"({"kind":"image","time":6,"name":"a","path":"../../../secret.png","notify":true})");
    fixture.log(R"({"kind":"image","time":7,"name":"a","path":"/home/me/secret.png","notify":true})");
    REQUIRE(fixture.kinds() == std::vector<std::string>{"notify", "image"});
    CHECK(fixture.facts(0)["text"] == "converged");
    CHECK(fixture.facts(1)["image"] == json{{"name", "a"}, {"path", "images/a/1.png"}, {"step", 1}});
    CHECK(fixture.facts(1)["caption"] == "c");
}

TEST_CASE("a long text goes in parts, each an entry") {
    NotifierFixture fixture;
    std::string text;
    for (int i = 0; i < 1000; ++i) text += fmt::format("line {}\\n", i);
    fixture.log(R"({"kind":"notify","time":3,"text":")" + text + "\"}");
    REQUIRE(fixture.queued.size() == 3);
    CHECK(fixture.facts(2)["part"] == 2);
    CHECK(fixture.queued[2].key == fixture.queued[0].key + "/3");
}

TEST_CASE("of a private key among the last lines nothing is told") {
    auto [lines, told] = GENERATE(table<const char*, json>({
        {"15", json{"reading the key", "<redacted>", "no access"}},
        {"2", json{"<redacted>", "no access"}},
    }));
    NotifierFixture fixture;
    fixture.set("lines", lines);
    replace_file(
        fixture.run.attempt_dir() / "output.log",
        "reading the key\n-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7\n"
        "-----END PRIVATE KEY-----\nno access\n");
    fixture.end(Status::failed, "failed with exit code 1");
    CHECK(fixture.facts()["lines"] == told);
}

TEST_CASE("a silence is told of once") {
    NotifierFixture fixture;
    fixture.set("stalled_after", "20ms");
    fixture.begin();
    CHECK(fixture.callback->interval() == Milliseconds{100});
    const auto pass = [&] {
        fixture.callback->on_tick(fixture.run);
        ::usleep(30'000);
        fixture.callback->on_tick(fixture.run);
        fixture.callback->on_tick(fixture.run);
    };
    append_line(fixture.run.attempt_dir() / "output.log", "one");
    pass();
    CHECK(fixture.kinds() == std::vector<std::string>{"stalled"});
    CHECK(fixture.facts()["lines"] == json{"one"});
    append_line(fixture.run.attempt_dir() / "events/x.jsonl", "{}"); // what it logs is a sign of life, too
    pass();
    REQUIRE(fixture.queued.size() == 2);
    CHECK(fixture.queued[0].key != fixture.queued[1].key);
}

TEST_CASE("of the runs of a multirun its launcher tells") {
    auto [multirun, launcher, told] = GENERATE(table<std::string, bool, bool>(
        {{"summary", true, false}, {"summary", false, true}, {"each", true, true}, {"none", true, false}}));
    NotifierFixture fixture;
    fixture.set("multirun", multirun);
    fixture.run.spec.group = "G";
    make_directories(fixture.run.store / "queues");
    const std::string head = R"({"host":"elsewhere","pid":1})";
    if (launcher) append_line(fixture.run.store / "queues/G.jsonl", head);
    fixture.end(Status::finished);
    CHECK(fixture.queued.size() == (told ? 1 : 0));
}

TEST_CASE("a multirun's summary is one entry") {
    NotifierFixture fixture;
    fixture.run.spec.group = "G";
    GroupOutcome outcome;
    outcome.runs = {{"a", "", Status::finished, "finished"}, {"b", "two", Status::failed, "exit code 1"}};
    SECTION("by default") {}
    SECTION("not where each is told") {
        fixture.set("multirun", "each");
    }
    SECTION("not where nothing of it is to be told") {
        fixture.set("on", "lost");
    }
    const bool told =
        fixture.settings.text("telegram.multirun") == "summary" && fixture.settings.text("telegram.on") != "lost";
    fixture.make("telegram")->on_group_end(fixture.run, outcome);
    REQUIRE(fixture.queued.size() == (told ? 1 : 0));
    if (told) CHECK(fixture.facts()["runs"][1]["reason"] == "exit code 1");
}

TEST_CASE("settings that cannot be meant are refused before anything runs") {
    auto [key, value, words] = GENERATE(table<std::string, std::string, std::string>({
        {"on", "failed,finish",
         "setting 'telegram.on' (test): 'finish' is nothing to tell of | did you mean 'finished'?"},
        {"when", "val_loss >", "setting 'telegram.when' (test): a name or a value is missing here"},
        {"when", "1 > 0", "names no metric"},
        {"level", "loud", "'loud' is no level | debug, info, warning or error"},
        {"multirun", "all", "'all' is not known | summary, each or none"},
        {"lines", "1000", "too many or too few | from 0 to 100"},
        {"api", "example.org", "not an address | it begins with https:// or http://"},
        {"chat", "42", ""},
    }));
    NotifierFixture fixture;
    fixture.set(key, value);
    INFO(fixture.refusal());
    CHECK(fixture.refusal().find(words) != std::string::npos);
    CHECK(fixture.refusal().empty() == words.empty());
}
