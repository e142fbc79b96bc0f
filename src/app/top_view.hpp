#pragma once
// What `poster top` shows and what its keys do: a state, a pure picture of it, and pure moves. top.cpp fills the state
// and owns the terminal.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <poster/run.hpp>

#include "table.hpp"

namespace poster {

struct TopRow {
    std::string id, name, host;
    Status status = Status::running;
    std::optional<double> seconds; // since its start; of an ended one, in all
    std::optional<double> cpu_percent;
    std::optional<std::uint64_t> memory_bytes;
    std::optional<double> gpu_percent;
    std::optional<std::uint64_t> gpu_memory_bytes;
    std::string last_line; // of its output, as a terminal would show it
};

struct TopState {
    enum class View { list, log, confirm };
    View view = View::list;
    std::string title; // store, time, load
    std::vector<TopRow> rows;
    std::string selected; // id; empty: the first
    bool with_ended = false;
    std::vector<std::string> log; // of the selected run
    std::size_t log_back = 0;     // lines from the end; 0: follows
    std::string message;          // until the next key
};

enum class TopKey { none, up, down, page_up, page_down, enter, back, stop, yes, toggle_ended, quit };
enum class TopMove { nothing, look_again, stop_selected, quit };

// The key that the bytes of one read begin with; takes them off.
TopKey take_key(std::string_view& bytes);
TopMove press(TopState& state, TopKey key, std::size_t rows_on_screen);
// After new rows: the selected one may be gone.
void keep_selection(TopState& state);
// Who has scrolled back goes on seeing the same lines.
void set_log(TopState& state, std::vector<std::string> lines);
const TopRow* selected_row(const TopState& state);

// As many lines as the screen has, none wider.
std::vector<std::string> draw(const TopState& state, std::size_t columns, std::size_t lines, const Terminal& terminal);

} // namespace poster
