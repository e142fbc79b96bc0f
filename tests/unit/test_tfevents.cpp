// TensorBoard's files: framing, checksums, and what is left of a damaged one.

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <bit>
#include <cmath>
#include <random>

#include <crc32.hpp>
#include <files.hpp>
#include <protobuf.hpp>
#include <tfevents.hpp>

#include "callback_fixture.hpp"

using namespace poster;

namespace {

std::string event_text(double time, std::int64_t step, const std::string& tag, double value) {
    TfEvent event;
    event.time = time;
    event.step = step;
    event.scalars.push_back({tag, value});
    return tf_record(tf_event_message(event));
}

std::vector<TfEvent> all_of(const fs::path& file) {
    TfEventReader reader(file, 0);
    std::vector<TfEvent> events;
    while (auto event = reader.next()) events.push_back(*event);
    return events;
}

TfEvent of_tensor(const std::string& tensor, const std::string& plugin = "") {
    ProtoWriter data, metadata, value, summary, event;
    if (!plugin.empty()) metadata.bytes(1, data.bytes(1, plugin).text());
    value.bytes(1, "tag").bytes(8, tensor);
    if (!plugin.empty()) value.bytes(9, metadata.text());
    return parse_tf_event(event.bytes(5, summary.bytes(1, value.text()).text()).text());
}

} // namespace

TEST_CASE("checksums are those of the known vectors") {
    CHECK(crc32("123456789") == 0xCBF43926U);
    CHECK(crc32c("123456789") == 0xE3069283U);
    CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
    CHECK(crc32c(std::string(32, '\xff')) == 0x62A8AB43U);
    CHECK(crc32("6789", crc32("12345")) == crc32("123456789"));
    CHECK(crc32("") == 0);
}

TEST_CASE("what is written is read: time, step, tag, value, image") {
    CallbackFixture fixture({"true"});
    TfEvent event;
    event.time = 1790000000.25;
    event.step = -7;
    event.scalars = {{"loss/train", 0.25}, {"naïve", std::nan("")}, {"far", INFINITY}};
    event.images = {{"samples", 16, 8, std::string("\x89PNG\0x", 6)}};
    replace_file(fixture.root / "events", tf_record(tf_event_message(event)));
    auto events = all_of(fixture.root / "events");
    REQUIRE(events.size() == 1);
    CHECK(events[0].time == 1790000000.25);
    CHECK(events[0].step == -7);
    REQUIRE(events[0].scalars.size() == 3);
    CHECK(events[0].scalars[0].tag == "loss/train");
    CHECK(events[0].scalars[0].value == 0.25);
    CHECK(std::isnan(events[0].scalars[1].value));
    CHECK(std::isinf(events[0].scalars[2].value));
    CHECK(events[0].images.at(0).bytes == event.images[0].bytes);
    CHECK(events[0].images[0].width == 16);
}

TEST_CASE("a torn tail is waited for") {
    CallbackFixture fixture({"true"});
    const fs::path file = fixture.root / "events";
    const std::string first = event_text(1, 1, "loss", 1);
    const std::string second = event_text(2, 2, "loss", 2);
    for (std::size_t cut = 0; cut < second.size(); ++cut) {
        replace_file(file, first + second.substr(0, cut));
        TfEventReader reader(file, 0);
        CHECK(reader.next());
        CHECK_FALSE(reader.next());
        CHECK_FALSE(reader.damaged());
        CHECK(reader.offset() == first.size());
        Fd grown(::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
        write_all(grown.get(), second.substr(cut));
        auto event = reader.next();
        REQUIRE(event);
        CHECK(event->step == 2);
    }
}

TEST_CASE("a damaged record between two good ones costs only itself") {
    CallbackFixture fixture({"true"});
    const std::string first = event_text(1, 1, "loss", 1);
    std::string text = first + event_text(2, 2, "loss", 2) + event_text(3, 3, "loss", 3);
    text[first.size() + 14] ^= 1;
    replace_file(fixture.root / "events", text);
    auto events = all_of(fixture.root / "events");
    REQUIRE(events.size() == 2);
    CHECK(events[1].step == 3);
}

TEST_CASE("a length that is not what its checksum says ends the file") {
    CallbackFixture fixture({"true"});
    std::string text = event_text(1, 1, "loss", 1) + event_text(2, 2, "loss", 2);
    text[0] ^= 1;
    replace_file(fixture.root / "events", text);
    TfEventReader reader(fixture.root / "events", 0);
    CHECK_FALSE(reader.next());
    CHECK(reader.damaged());
}

TEST_CASE("scalars of TF2 are tensors of any number type, packed or not, or raw bytes") {
    const float quarter = 0.25F;
    std::string raw_double;
    append_little_endian(raw_double, std::bit_cast<std::uint64_t>(-1.5), 8);
    std::string packed_float;
    append_little_endian(packed_float, std::bit_cast<std::uint32_t>(quarter), 4);
    const auto minus_three = static_cast<std::uint64_t>(-3);
    const std::vector<std::pair<std::string, double>> cases{
        {ProtoWriter().integer(1, 1).real32(5, quarter).text(), 0.25},
        {ProtoWriter().integer(1, 1).bytes(5, packed_float).text(), 0.25},
        {ProtoWriter().integer(1, 1).bytes(4, packed_float).text(), 0.25},
        {ProtoWriter().integer(1, 2).real(6, 1e300).text(), 1e300},
        {ProtoWriter().integer(1, 2).bytes(4, raw_double).text(), -1.5},
        {ProtoWriter().integer(1, 3).integer(7, minus_three).text(), -3},
        {ProtoWriter().integer(1, 9).bytes(10, "\x05").text(), 5},
        {ProtoWriter().integer(1, 10).integer(11, 1).text(), 1},
        {ProtoWriter().integer(1, 19).integer(13, 0x3C00).text(), 1},
        {ProtoWriter().integer(1, 14).integer(13, 0x4000).text(), 2},
        {ProtoWriter().integer(1, 1).text(), 0},
    };
    for (const auto& [tensor, value] : cases) {
        auto event = of_tensor(tensor, "scalars");
        REQUIRE(event.scalars.size() == 1);
        CHECK(event.scalars[0].value == value);
    }
}

TEST_CASE("a tensor that is no scalar is passed over") {
    ProtoWriter four, shape;
    shape.bytes(2, four.integer(1, 4).text());
    CHECK(of_tensor(ProtoWriter().integer(1, 1).bytes(2, shape.text()).bytes(4, std::string(16, 'x')).text())
              .scalars.empty());
    CHECK(of_tensor(ProtoWriter().integer(1, 7).bytes(8, "text").text()).scalars.empty());
    CHECK(of_tensor(ProtoWriter().integer(1, 1).real32(5, 1).text(), "pr_curves").scalars.empty());
    auto image = of_tensor(ProtoWriter().integer(1, 7).bytes(8, "16").bytes(8, "8").bytes(8, "PNG").text(), "images");
    REQUIRE(image.images.size() == 1);
    CHECK(image.images[0].height == 8);
}

TEST_CASE("files that are cut or have bits flipped never crash the reader, and never invent an event") {
    CallbackFixture fixture({"true"});
    std::string text;
    for (int i = 0; i < 40; ++i) text += event_text(i, i, "loss", i);
    std::mt19937 random(7);
    for (int round = 0; round < 400; ++round) {
        std::string broken = text.substr(0, random() % (text.size() + 1));
        for (unsigned flips = random() % 4; flips > 0 && !broken.empty(); --flips)
            broken[random() % broken.size()] ^= static_cast<char>(1U << (random() % 8));
        replace_file(fixture.root / "events", broken);
        for (const auto& event : all_of(fixture.root / "events")) CHECK(event.scalars.at(0).value == event.step);
    }
}

TEST_CASE("bytes that are no message never crash the parser") {
    std::mt19937 random(11);
    const std::string good = tf_event_message({1, 2, "brain.Event:2", {{"loss", 1}}, {{"image", 1, 1, "png"}}});
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes = round % 2 == 0 ? good : std::string(random() % 64, 'x');
        for (unsigned changes = random() % 8; changes > 0 && !bytes.empty(); --changes)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        parse_tf_event(bytes);
    }
    SUCCEED();
}
