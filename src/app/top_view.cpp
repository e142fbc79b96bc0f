#include "top_view.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <clock.hpp>
#include <text.hpp>

namespace poster {

namespace {

constexpr std::size_t kFrame = 3;    // title, heads, keys
constexpr std::size_t kLogFrame = 2; // title, keys
constexpr std::size_t kIdSuffix = 4;
constexpr std::size_t kNameColumns = 16;

std::size_t index_of_selected(const TopState& state) {
    auto found =
        std::find_if(state.rows.begin(), state.rows.end(), [&](const TopRow& it) { return it.id == state.selected; });
    return found == state.rows.end() ? 0 : std::size_t(found - state.rows.begin());
}

void select(TopState& state, std::size_t index) {
    if (!state.rows.empty()) state.selected = state.rows[std::min(index, state.rows.size() - 1)].id;
}

void move_selection(TopState& state, long by) {
    long at = long(index_of_selected(state)) + by;
    select(state, std::size_t(std::max(0L, at)));
}

std::string padded(std::string_view text, std::size_t columns, bool right = false) {
    std::string cut = shorten(text, columns);
    std::string gap(columns - std::min(columns, display_width(cut)), ' ');
    return right ? gap + cut : cut + gap;
}

std::string fitted(std::string_view text, std::size_t columns) {
    return padded(printable(text), columns);
}

template <typename Value, typename Words>
std::string told(const std::optional<Value>& value, Words words) {
    return value ? words(*value) : std::string("-");
}

std::string percent(double value) {
    return fmt::format("{:.0f}%", value);
}

// Without the last line of output, which takes what is left.
std::string figures(const TopRow& row) {
    std::string name = row.name.empty() ? row.id.substr(row.id.size() - std::min(kIdSuffix, row.id.size())) : row.name;
    auto duration = [](double seconds) { return format_duration(Milliseconds(std::llround(seconds * 1000))); };
    return fmt::format("{} {} {} {} {} {} {}", padded(printable(name), kNameColumns), padded(to_string(row.status), 8),
                       padded(told(row.seconds, duration), 8, true), padded(told(row.cpu_percent, percent), 6, true),
                       padded(told(row.memory_bytes, format_bytes), 9, true),
                       padded(told(row.gpu_percent, percent), 5, true),
                       padded(told(row.gpu_memory_bytes, format_bytes), 9, true));
}

std::string head() {
    return fmt::format("{} {} {} {} {} {} {}  {}", padded("RUN", kNameColumns), padded("STATUS", 8),
                       padded("TIME", 8, true), padded("CPU", 6, true), padded("MEMORY", 9, true),
                       padded("GPU", 5, true), padded("GPU MEM", 9, true), "LAST LINE");
}

std::string inverse(const std::string& text, const Terminal& terminal) {
    return terminal.is_terminal ? "\033[7m" + text + "\033[0m" : text;
}

std::vector<std::string> draw_list(const TopState& state, std::size_t columns, std::size_t lines,
                                   const Terminal& terminal) {
    std::vector<std::string> picture{paint(fitted(state.title, columns), Colour::bold, terminal),
                                     paint(fitted(head(), columns), Colour::dim, terminal)};
    std::size_t room = lines > kFrame ? lines - kFrame : 0;
    std::size_t selected = index_of_selected(state);
    std::size_t first = selected >= room && room > 0 ? selected - room + 1 : 0;
    for (std::size_t i = first; i < state.rows.size() && i < first + room; ++i) {
        const TopRow& row = state.rows[i];
        std::string line = fitted(figures(row) + "  " + row.last_line, columns);
        picture.push_back(i == selected ? inverse(line, terminal) : line);
    }
    if (state.rows.empty() && room > 0) picture.push_back(fitted("no run is running", columns));
    picture.resize(std::max<std::size_t>(lines, 1) - 1, std::string(columns, ' '));
    std::string keys = "j/k move  Enter log  s stop  a also ended  q quit";
    if (state.view == TopState::View::confirm) {
        const TopRow* row = selected_row(state);
        keys = fmt::format("stop {}? y/n", row == nullptr ? "" : row->name.empty() ? row->id : row->name);
    } else if (!state.message.empty()) {
        keys = state.message;
    }
    picture.push_back(paint(fitted(keys, columns), Colour::dim, terminal));
    return picture;
}

std::vector<std::string> draw_log(const TopState& state, std::size_t columns, std::size_t lines,
                                  const Terminal& terminal) {
    const TopRow* row = selected_row(state);
    std::string title =
        row == nullptr ? state.selected : fmt::format("{} {} {}", row->id, row->name, to_string(row->status));
    std::vector<std::string> picture{paint(fitted(title, columns), Colour::bold, terminal)};
    std::size_t room = lines > kLogFrame ? lines - kLogFrame : 0;
    std::size_t end = state.log.size() - std::min(state.log_back, state.log.size());
    std::size_t first = end > room ? end - room : 0;
    for (std::size_t i = first; i < end; ++i) picture.push_back(fitted(state.log[i], columns));
    picture.resize(std::max<std::size_t>(lines, 1) - 1, std::string(columns, ' '));
    std::string keys = state.log_back == 0 ? "j/k scroll  q back"
                                           : fmt::format("{} lines further down  j/k scroll  q back", state.log_back);
    picture.push_back(paint(fitted(keys, columns), Colour::dim, terminal));
    return picture;
}

TopMove press_in_log(TopState& state, TopKey key, std::size_t rows_on_screen) {
    std::size_t page = std::max<std::size_t>(1, rows_on_screen > kLogFrame ? rows_on_screen - kLogFrame : 1);
    std::size_t most = state.log.size() > page ? state.log.size() - page : 0;
    auto back = [&](std::size_t by) { state.log_back = std::min(most, state.log_back + by); };
    auto forward = [&](std::size_t by) { state.log_back -= std::min(state.log_back, by); };
    switch (key) {
    case TopKey::up: back(1); break;
    case TopKey::page_up: back(page); break;
    case TopKey::down: forward(1); break;
    case TopKey::page_down: forward(page); break;
    case TopKey::quit:
    case TopKey::back:
        state.view = TopState::View::list;
        state.log.clear();
        state.log_back = 0;
        break;
    default: break;
    }
    return TopMove::nothing;
}

TopMove press_in_list(TopState& state, TopKey key, std::size_t rows_on_screen) {
    long page = std::max<long>(1, long(rows_on_screen) - long(kFrame));
    switch (key) {
    case TopKey::up: move_selection(state, -1); break;
    case TopKey::down: move_selection(state, 1); break;
    case TopKey::page_up: move_selection(state, -page); break;
    case TopKey::page_down: move_selection(state, page); break;
    case TopKey::enter:
        if (state.rows.empty()) break;
        state.view = TopState::View::log;
        return TopMove::look_again;
    case TopKey::stop:
        if (selected_row(state) != nullptr) state.view = TopState::View::confirm;
        break;
    case TopKey::toggle_ended: state.with_ended = !state.with_ended; return TopMove::look_again;
    case TopKey::quit: return TopMove::quit;
    default: break;
    }
    return TopMove::nothing;
}

struct Sequence {
    std::string_view bytes;
    TopKey key;
};
constexpr Sequence kSequences[] = {
    {"\033[A", TopKey::up},      {"\033OA", TopKey::up},       {"\033[B", TopKey::down},
    {"\033OB", TopKey::down},    {"\033[5~", TopKey::page_up}, {"\033[6~", TopKey::page_down},
    {"k", TopKey::up},           {"j", TopKey::down},          {"\r", TopKey::enter},
    {"\n", TopKey::enter},       {"s", TopKey::stop},          {"y", TopKey::yes},
    {"a", TopKey::toggle_ended}, {"q", TopKey::quit},          {"\003", TopKey::quit},
    {" ", TopKey::page_down},    {"b", TopKey::page_up},       {"\033", TopKey::back},
};

} // namespace

TopKey take_key(std::string_view& bytes) {
    for (const auto& it : kSequences) {
        if (!bytes.starts_with(it.bytes)) continue;
        bytes.remove_prefix(it.bytes.size());
        return it.key;
    }
    bytes.remove_prefix(std::min<std::size_t>(1, bytes.size()));
    return TopKey::none;
}

TopMove press(TopState& state, TopKey key, std::size_t rows_on_screen) {
    state.message.clear();
    if (state.view == TopState::View::log) return press_in_log(state, key, rows_on_screen);
    if (state.view == TopState::View::list) return press_in_list(state, key, rows_on_screen);
    state.view = TopState::View::list;
    return key == TopKey::yes ? TopMove::stop_selected : TopMove::nothing;
}

void keep_selection(TopState& state) {
    if (selected_row(state) == nullptr && state.view != TopState::View::log) {
        state.view = TopState::View::list; // what was asked about is gone
        select(state, 0);
    }
}

void set_log(TopState& state, std::vector<std::string> lines) {
    if (state.log_back > 0 && lines.size() > state.log.size()) state.log_back += lines.size() - state.log.size();
    state.log = std::move(lines);
}

const TopRow* selected_row(const TopState& state) {
    auto found =
        std::find_if(state.rows.begin(), state.rows.end(), [&](const TopRow& it) { return it.id == state.selected; });
    return found == state.rows.end() ? nullptr : &*found;
}

std::vector<std::string> draw(const TopState& state, std::size_t columns, std::size_t lines, const Terminal& terminal) {
    auto picture = state.view == TopState::View::log ? draw_log(state, columns, lines, terminal)
                                                     : draw_list(state, columns, lines, terminal);
    if (picture.size() > lines) picture.resize(lines);
    return picture;
}

} // namespace poster
