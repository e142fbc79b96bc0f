// The outbox: what is queued, and what is known of it however often and by whomever it was tried.

#include <cerrno>

#include <catch2/catch.hpp>

#include <error.hpp>
#include <files.hpp>
#include <outbox.hpp>

#include "odd_file_system.hpp"
#include "store_fixture.hpp"

namespace poster {

namespace {

using Stage = DeliveryState::Stage;

OutboxEntry letter(const std::string& key) {
    OutboxEntry entry;
    entry.key = key;
    entry.callback = "telegram";
    entry.kind = "end";
    entry.payload = "{\"text\":\"ü\"}";
    entry.attempt = 2;
    return entry;
}

} // namespace

TEST_CASE("an entry queued twice under one key is one, and keeps what it says") {
    const TemporaryDirectory folder;
    const Outbox outbox(folder.path());
    outbox.queue(letter("a"));
    outbox.queue(letter("b"));
    outbox.queue(letter("a"));
    const auto view = outbox.view("telegram");
    REQUIRE(view.messages.size() == 2);
    CHECK(view.messages[0].entry.key == "a");
    CHECK(view.messages[0].entry.payload == "{\"text\":\"ü\"}");
    CHECK(view.messages[0].entry.attempt == 2);
    CHECK(view.messages[0].state.stage == Stage::queued);
    CHECK(outbox.callbacks() == std::vector<std::string>{"telegram"});
    CHECK(outbox.view("email").messages.empty());
}

TEST_CASE("what has arrived stays arrived, whatever a later line says") {
    const TemporaryDirectory folder;
    const Outbox outbox(folder.path());
    outbox.queue(letter("a"));
    OutboxNotes notes(outbox, "telegram");
    notes.begun("a");
    CHECK(outbox.view("telegram").messages[0].entry.perhaps_sent);
    notes.ended("a", Delivery::passing("no network"), 1, WallTime(Milliseconds(5'000'000'000'000)));
    auto state = outbox.view("telegram").messages[0].state;
    CHECK(state.stage == Stage::retry);
    CHECK(state.error == "no network");
    CHECK(state.next_try == WallTime(Milliseconds(5'000'000'000'000)));
    CHECK_FALSE(outbox.view("telegram").messages[0].entry.perhaps_sent);
    notes.begun("a");
    notes.ended("a", Delivery::arrived("42"), 2, {});
    notes.ended("a", Delivery::permanent("refused", "do something"), 3, {});
    const auto message = outbox.view("telegram").messages[0];
    CHECK(message.state.stage == Stage::delivered);
    CHECK(message.state.receipt == "42");
    CHECK(message.entry.tries == 2);
}

TEST_CASE("copies are known by destination, the newest line of each path counting") {
    const TemporaryDirectory folder;
    const Outbox outbox(folder.path());
    OutboxEntry wanted = letter("copies");
    wanted.callback = "s3";
    wanted.kind = Outbox::kCopies;
    outbox.queue(wanted);
    OutboxNotes notes(outbox, "s3");
    notes.copied("s3://one", "run.json", {10, 1, "aa", "etag"});
    notes.copied("s3://one", "run.json", {12, 2, "bb", "etag2"});
    notes.copied("s3://two", "files/ä b", {3, 1, "cc", ""});
    auto view = outbox.view("s3");
    CHECK(view.copies_wanted);
    CHECK(view.messages.empty());
    CHECK(view.copies["s3://one"]["run.json"].sha256 == "bb");
    CHECK(view.copies["s3://two"]["files/ä b"].bytes == 3);
    CHECK(view.copies["s3://three"].empty());
    notes.lost("s3://one", "run.json");
    CHECK(outbox.view("s3").copies["s3://one"].empty());
    notes.copied("s3://one", "run.json", {12, 2, "bb", "etag3"});
    CHECK(outbox.view("s3").copies["s3://one"].contains("run.json"));
}

TEST_CASE("copies that have arrived begin anew with their tries") {
    const TemporaryDirectory folder;
    const Outbox outbox(folder.path());
    outbox.queue(letter("a"));
    OutboxNotes notes(outbox, "s3");
    const auto tries = [&] { return outbox.view("s3").copying["s3://one"].tries; };
    notes.copying("s3://one", Delivery::passing("no network"), 7, {});
    CHECK(tries() == 7);
    notes.copying("s3://one", Delivery::arrived("digest"), 0, {});
    CHECK(tries() == 0);
}

TEST_CASE("half a line of a process that was killed hides nothing") {
    const TemporaryDirectory folder;
    const Outbox outbox(folder.path());
    outbox.queue(letter("a"));
    for (const auto& entry : fs::directory_iterator(outbox.dir())) {
        const std::string whole = *read_file(entry.path());
        replace_file(entry.path(), whole + whole.substr(0, 30));
    }
    outbox.queue(letter("b"));
    CHECK(outbox.view("telegram").messages.size() == 2);
}

TEST_CASE("what a file system refuses only when it is closed is not taken for queued or noted") {
    const TemporaryDirectory folder;
    const Outbox outbox(folder.path());
    make_directories(outbox.dir());
    OutboxEntry entry;
    entry.key = "a";
    entry.callback = "s3";
    {
        const OddFileSystem odd; // as NFS is beyond a quota
        odd.on_close([](int fd) { return real_close(fd), EDQUOT; });
        CHECK_THROWS_WITH(outbox.queue(entry), Catch::Contains("quota"));
        CHECK_THROWS_AS(OutboxNotes(outbox, "s3").begun("a"), Error);
        CHECK_THROWS_AS(outbox.note_evicted({{"files/a", {}}}), Error);
    }
    outbox.queue(entry);
    CHECK(outbox.view("s3").messages.size() == 1);
}

TEST_CASE("what is noted later counts, though the clock of another machine is a year ahead") {
    const TemporaryDirectory folder;
    const Outbox outbox(folder.path());
    outbox.queue(letter("a"));
    const std::string ahead = iso8601(wall_now() + std::chrono::days(365));
    const auto other_host = [&](const char* name, json record) {
        record["time"] = ahead;
        append_line(outbox.dir() / name, record.dump());
    };
    other_host("telegram.zz.jsonl", {{"key", "a"}, {"state", "retry"}});
    other_host("telegram.zz.jsonl", {{"to", "nas"}, {"state", "failed"}, {"error", "no such bucket"}});
    other_host("telegram.zz.jsonl", {{"to", "nas"}, {"path", "files/a"}, {"bytes", 1}, {"sha256", "old"}});
    append_line(outbox.dir() / "telegram.zz.jsonl", R"({"time": "half a li)");
    other_host("evicted.zz.jsonl", {{"path", "files/a"}, {"to", "old"}});
    {
        OutboxNotes notes(outbox, "telegram");
        notes.copied("nas", "files/a", {2, 0, "new", ""});
        notes.copying("nas", Delivery::arrived(), 0, {});
        notes.begun("a");
    }
    outbox.note_evicted({{"files/a", {"local", "new", {}}}});
    const OutboxView view = outbox.view("telegram");
    CHECK(view.messages.at(0).state.stage == Stage::begun);
    CHECK(view.copying.at("nas").stage == Stage::delivered);
    CHECK(view.copies.at("nas").at("files/a").sha256 == "new");
    CHECK(outbox.evicted().at("files/a").destination == "new");
    OutboxNotes(outbox, "telegram").ended("a", Delivery::arrived("7"), 1, {});
    CHECK(outbox.view("telegram").messages.at(0).state.receipt == "7");
}

} // namespace poster
