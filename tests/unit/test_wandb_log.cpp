// W&B's log: blocks, chunks, checksums, and what is left of a damaged one.

#include <catch2/catch.hpp>

#include <cmath>
#include <random>

#include <crc32.hpp>
#include <files.hpp>
#include <protobuf.hpp>
#include <wandb_log.hpp>

#include "callback_fixture.hpp"

using namespace poster;

namespace {

std::string frame(const std::vector<std::string>& records) {
    std::string log(":W&B\xE1\xBE\x00", 7);
    for (std::string_view rest : records) {
        bool first = true;
        do {
            std::size_t left = 32768 - log.size() % 32768;
            if (left < 7) {
                log.append(left, '\0');
                continue;
            }
            const std::string_view part = rest.substr(0, left - 7);
            rest.remove_prefix(part.size());
            const int type = rest.empty() ? (first ? 1 : 4) : (first ? 2 : 3);
            const std::string checked = std::string(1, static_cast<char>(type)).append(part);
            append_little_endian(log, crc32(checked), 4);
            append_little_endian(log, part.size(), 2);
            log += checked;
            first = false;
        } while (!rest.empty() || first);
    }
    return log;
}

std::string history(std::uint64_t step, const std::string& key, const std::string& json) {
    ProtoWriter item, number, row, record;
    item.bytes(1, key).bytes(16, json);
    row.bytes(1, item.text()).bytes(2, number.integer(1, step).text());
    return record.integer(1, step).bytes(2, row.text()).text();
}

std::vector<WandbRecord> all_of(const fs::path& file) {
    WandbLogReader reader(file, 0);
    std::vector<WandbRecord> records;
    while (auto record = reader.next()) records.push_back(*record);
    return records;
}

} // namespace

TEST_CASE("records that fill a block, cross one, or cross several are read whole") {
    CallbackFixture fixture({"true"});
    std::vector<std::string> records;
    for (std::size_t size : {10UL, 32730UL, 40'000UL, 100'000UL, 5UL, 32'768UL * 3})
        records.push_back(history(size, "text", '"' + std::string(size, 'x') + '"'));
    replace_file(fixture.root / "log", frame(records));
    auto found = all_of(fixture.root / "log");
    REQUIRE(found.size() == records.size());
    for (const auto& record : found)
        CHECK(record.items.at(0).json.size() == static_cast<std::size_t>(*record.step) + 2);
}

TEST_CASE("each way in which a value may stand in a W&B log is read") {
    const auto item = [](const ProtoWriter& value) {
        ProtoWriter whole, row, record;
        whole.bytes(1, "key");
        row.bytes(1, whole.text() + value.text());
        return parse_wandb_record(record.bytes(2, row.text()).text()).items.at(0).json;
    };
    CHECK(item(ProtoWriter().bytes(16, "[1,2]")) == "[1,2]");
    CHECK(item(ProtoWriter().integer(3, 0)) == "null");
    CHECK(item(ProtoWriter().integer(4, 1)) == "true");
    CHECK(item(ProtoWriter().integer(5, 5)) == "-3"); // zigzag
    CHECK(item(ProtoWriter().real(6, 0.25)) == "0.25");
    CHECK(item(ProtoWriter().real(6, INFINITY)) == "Infinity");
    CHECK(item(ProtoWriter().bytes(7, "a \"b\"")) == R"("a \"b\"")");
    CHECK(item(ProtoWriter().bytes(8, "{}")) == "{}");
}

TEST_CASE("a torn tail of a W&B log is waited for") {
    CallbackFixture fixture({"true"});
    const fs::path file = fixture.root / "log";
    const std::string whole = frame({history(1, "a", "1"), history(2, "b", '"' + std::string(40'000, 'x') + '"')});
    const std::size_t first = frame({history(1, "a", "1")}).size();
    std::mt19937 random(3);
    for (int round = 0; round < 100; ++round) {
        replace_file(file, whole.substr(0, first + random() % (whole.size() - first)));
        WandbLogReader before(file, 0);
        REQUIRE(before.next());
        CHECK_FALSE(before.next());
        replace_file(file, whole);
        WandbLogReader after(file, before.offset());
        auto record = after.next();
        REQUIRE(record);
        CHECK(*record->step == 2);
    }
}

TEST_CASE("W&B logs that are cut or have bits flipped never crash the reader") {
    CallbackFixture fixture({"true"});
    std::vector<std::string> records;
    for (std::uint64_t i = 0; i < 60; ++i)
        records.push_back(history(i, "key", '"' + std::string(i % 7 == 0 ? 9000 : 20, 'x') + '"'));
    const std::string whole = frame(records);
    std::mt19937 random(5);
    for (int round = 0; round < 300; ++round) {
        std::string broken = whole.substr(0, random() % (whole.size() + 1));
        for (unsigned flips = random() % 5; flips > 0 && !broken.empty(); --flips)
            broken[random() % broken.size()] ^= static_cast<char>(1U << (random() % 8));
        replace_file(fixture.root / "log", broken);
        CHECK(all_of(fixture.root / "log").size() <= records.size());
    }
    const std::string good = history(1, "key", "1");
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes = good;
        for (unsigned changes = random() % 8; changes > 0; --changes)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        parse_wandb_record(bytes);
    }
}
