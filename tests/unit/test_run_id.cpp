#include <catch2/catch.hpp>

#include <set>

#include "clock.hpp"
#include "run_id.hpp"

using namespace poster;

TEST_CASE("a run id is the UTC start time and four random characters") {
    const std::string id = new_run_id(*parse_iso8601("2026-11-23T07:02:13Z"));
    CHECK(id.substr(0, 16) == "20261123-070213-");
    CHECK(is_run_id(id));
}

TEST_CASE("run ids of the same second differ") {
    std::set<std::string> ids;
    const WallTime now = wall_now();
    for (int i = 0; i < 100; ++i) ids.insert(new_run_id(now));
    CHECK(ids.size() > 90);
}

TEST_CASE("what is no run id is not taken for one") {
    auto [text, yes] = GENERATE(table<std::string, bool>({{"20261123-070213-k7qd", true},
                                                          {"20261123-070213-k7q", false},
                                                          {"20261123-070213-k7qdx", false},
                                                          {"20261123-070213-K7qd", false},
                                                          {"20261123-070213-k7q1", false},
                                                          {"20261123_070213-k7qd", false},
                                                          {"last", false},
                                                          {"", false}}));
    CHECK(is_run_id(text) == yes);
}
