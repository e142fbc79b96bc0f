#include <catch2/catch.hpp>

#include <text.hpp>
#include <top_view.hpp>

using namespace poster;

namespace {

TopRow row(const std::string& id, const std::string& last_line = {}) {
    TopRow row;
    row.id = "20261124-031142-" + id;
    row.seconds = 61.0;
    row.cpu_percent = 99.6;
    row.memory_bytes = 3'400'000;
    row.last_line = last_line;
    return row;
}

TopState some_runs(int count) {
    TopState state;
    state.title = "store";
    for (int i = 0; i < count; ++i) state.rows.push_back(row("a" + std::to_string(100 + i)));
    keep_selection(state);
    return state;
}

TopKey key(std::string_view bytes) {
    return take_key(bytes);
}

} // namespace

TEST_CASE("every size of the screen is filled exactly") {
    auto count = GENERATE(0, 1, 3, 50);
    auto columns = GENERATE(std::size_t(1), std::size_t(20), std::size_t(80), std::size_t(200));
    auto lines = GENERATE(std::size_t(1), std::size_t(2), std::size_t(3), std::size_t(4), std::size_t(24));
    auto view = GENERATE(TopState::View::list, TopState::View::log, TopState::View::confirm);
    auto state = some_runs(count);
    state.view = view;
    state.log = {"one", "two\twith a tab", "drei Ä 日本語 and a line that is far longer than any of these screens"};
    auto picture = draw(state, columns, lines, {});
    REQUIRE(picture.size() == lines);
    for (const auto& line : picture) CHECK(display_width(line) <= columns);
}

TEST_CASE("a row tells its figures and its last line, and nothing dangerous") {
    auto state = some_runs(0);
    state.rows = {row("k7qd", "epoch 3\033[31m red")};
    keep_selection(state);
    auto line = draw(state, 120, 5, {})[2];
    CHECK_THAT(line, Catch::StartsWith("k7qd"));
    CHECK_THAT(line, Catch::Contains("1m 1s") && Catch::Contains("100%") && Catch::Contains("3.4 MB"));
    CHECK_THAT(line, Catch::Contains("epoch 3") && !Catch::Contains("\033"));
}

TEST_CASE("the selection moves, stays with its run, and is always on the screen") {
    auto state = some_runs(30);
    for (int i = 0; i < 25; ++i) press(state, TopKey::down, 10);
    CHECK(state.selected == state.rows[25].id);
    auto picture = draw(state, 80, 10, {});
    bool shown = false;
    for (const auto& line : picture) shown |= line.starts_with("a125");
    CHECK(shown);
    state.rows.erase(state.rows.begin(), state.rows.begin() + 5);
    keep_selection(state);
    CHECK_THAT(state.selected, Catch::EndsWith("a125"));
    state.rows.clear();
    keep_selection(state);
    CHECK(press(state, TopKey::down, 10) == TopMove::nothing);
    CHECK(press(state, TopKey::enter, 10) == TopMove::nothing);
    press(state, TopKey::stop, 10);
    CHECK(state.view == TopState::View::list);
}

TEST_CASE("a run is stopped after y, and after nothing else") {
    auto [answer, move] = GENERATE(table<TopKey, TopMove>({{TopKey::yes, TopMove::stop_selected},
                                                           {TopKey::none, TopMove::nothing},
                                                           {TopKey::back, TopMove::nothing},
                                                           {TopKey::quit, TopMove::nothing}}));
    auto state = some_runs(2);
    CHECK(press(state, TopKey::stop, 10) == TopMove::nothing);
    CHECK_THAT(draw(state, 80, 10, {}).back(), Catch::StartsWith("stop "));
    CHECK(press(state, answer, 10) == move);
    CHECK(state.view == TopState::View::list);
}

TEST_CASE("the log follows its end, and can be scrolled back no further than its beginning") {
    auto state = some_runs(1);
    CHECK(press(state, TopKey::enter, 12) == TopMove::look_again);
    for (int i = 0; i < 100; ++i) state.log.push_back("line " + std::to_string(i));
    CHECK_THAT(draw(state, 80, 12, {})[10], Catch::StartsWith("line 99"));
    for (int i = 0; i < 30; ++i) press(state, TopKey::page_up, 12);
    CHECK_THAT(draw(state, 80, 12, {})[1], Catch::StartsWith("line 0"));
    press(state, TopKey::page_down, 12);
    CHECK_THAT(draw(state, 80, 12, {})[1], Catch::StartsWith("line 10"));
    auto more = state.log;
    more.emplace_back("line 100");
    set_log(state, more); // it grows meanwhile
    CHECK_THAT(draw(state, 80, 12, {})[1], Catch::StartsWith("line 10"));
    press(state, TopKey::quit, 12);
    CHECK(state.view == TopState::View::list);
    CHECK(press(state, TopKey::quit, 12) == TopMove::quit);
}

TEST_CASE("keys are read from what terminals send") {
    auto [bytes, wanted] = GENERATE(table<std::string, TopKey>({{"j", TopKey::down},
                                                                {"\033[B", TopKey::down},
                                                                {"\033OA", TopKey::up},
                                                                {"\r", TopKey::enter},
                                                                {"\033[5~", TopKey::page_up},
                                                                {"\033", TopKey::back},
                                                                {"x", TopKey::none}}));
    CHECK(key(bytes) == wanted);
}
