#include <catch2/catch.hpp>

#include "clock.hpp"

using namespace poster;
using namespace std::chrono_literals;

TEST_CASE("a duration is read with its units") {
    auto [text, expected] = GENERATE(table<std::string, std::optional<Milliseconds>>({
        {"10s", 10s},
        {"1h30m", 90min},
        {"1h 30m", 90min},
        {"500ms", 500ms},
        {"2d", 48h},
        {"90", 90s},
        {"0", 0s},
        {"1.5h", 90min},
        {"0.25", 250ms},
        {"2min", 2min},
        {" 5s ", 5s},
        {"", {}},
        {"s", {}},
        {"-5s", {}},
        {"5x", {}},
        {"1h5", {}},
        {"5 5", {}},
        {"1..5s", {}},
        {"99999999999999999999d", {}},
        {"inf", {}},
        {"1e3", {}},
    }));
    CAPTURE(text);
    CHECK(parse_duration(text) == expected);
}

TEST_CASE("a duration is written in at most two units") {
    auto [duration, text] = GENERATE(table<Milliseconds, std::string>({
        {0ms, "0ms"},
        {850ms, "850ms"},
        {1s, "1.0s"},
        {4249ms, "4.2s"},
        {59'940ms, "59.9s"},
        {59'970ms, "1m 0s"},
        {200s, "3m 20s"},
        {3599'600ms, "1h 0m"},
        {123min, "2h 3m"},
        {28h, "1d 4h"},
        {-3s, "-3.0s"},
    }));
    CHECK(format_duration(duration) == text);
}

TEST_CASE("a time survives the way to ISO 8601 and back") {
    const WallTime now = wall_now();
    CHECK(parse_iso8601(iso8601(now)) == now);
    CHECK(iso8601(*parse_iso8601("2026-11-23T08:02:13.042+01:00")) == "2026-11-23T07:02:13.042Z");
    CHECK(compact_utc(*parse_iso8601("2026-11-23T07:02:13Z")) == "20261123-070213");
    CHECK(iso8601(*parse_iso8601("2026-11-23")) == "2026-11-23T00:00:00.000Z");
}

TEST_CASE("what is no time is not read as one") {
    const std::string text = GENERATE(values<std::string>(
        {"", "2026", "2026-02-30T00:00:00Z", "2026-11-23T07", "2026-11-23T07:02:13.Z", "2026-11-23T07:02:13X", "x"}));
    CHECK_FALSE(parse_iso8601(text));
}

TEST_CASE("a time that passed is told in one unit") {
    auto [past, text] = GENERATE(table<Milliseconds, std::string>(
        {{0s, "just now"}, {-5s, "just now"}, {12s, "12s ago"}, {90s, "1m ago"}, {3h, "3h ago"}, {50h, "2d ago"}}));
    const WallTime now = wall_now();
    CHECK(format_ago(now - past, now) == text);
}

TEST_CASE("the zone of this machine is an offset") {
    const std::string zone = local_zone();
    REQUIRE(zone.size() == 6);
    CHECK((zone[0] == '+' || zone[0] == '-'));
    CHECK(zone[3] == ':');
}
