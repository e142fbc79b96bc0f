#pragma once
// Folds the bytes a program wrote (progress bars drawn with carriage returns and cursor moves) to the lines a terminal
// shows at the end: a virtual screen of 200 rows, endlessly wide, above it a scrollback that is handed on at once.
//
// Memory stays small whatever the log's size: a row that left the screen at its top can no longer be changed and goes
// to the sink. A line over a million columns goes in pieces.

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace poster {

// Colours and attributes of a character, as ESC[…m sets them.
struct TextStyle {
    std::string foreground, background; // parameters: "31", "38;5;208"
    std::uint16_t attributes = 0;       // bit n: attribute n (1 bold … 9 struck out)
    auto operator<=>(const TextStyle&) const = default;
};

class Folder {
public:
    struct Line {
        std::string_view text;
        std::int64_t stamp = 0; // of the last byte that changed it
        bool continues = false; // goes on the line before
        bool ended = true;      // false: the next piece goes on it
    };
    using Sink = std::function<void(const Line&)>;

    // keep_colours: the text holds ESC[…m sequences, for a terminal; invalid UTF-8 becomes U+FFFD then, else it stays.
    Folder(bool keep_colours, Sink sink);

    void feed(std::string_view bytes, std::int64_t stamp = 0);
    void settle(); // hands on the rows above the cursor: they can no longer be changed afterwards
    void finish(); // hands on everything
    // The same, but the last line is left open; returns what puts a terminal's cursor and colours where they are here.
    std::string finish_on_terminal();

    static constexpr std::size_t kScreenRows = 200;

private:
    struct Cell {
        char32_t code = U' ';
        std::uint16_t style = 0;
    };
    // `plain` holds printable ASCII in the default style only, one byte per column; otherwise `cells`.
    struct Row {
        std::string plain;
        std::vector<Cell> cells;
        std::vector<std::string> clusters; // characters with combining marks; a cell's code is kCluster + index
        std::int64_t stamp = 0;
        bool rich = false, continues = false;
        std::size_t size() const { return rich ? cells.size() : plain.size(); }
    };
    enum class State { text, escape, charset, csi, string, string_escape };

    Row& row();
    void enrich(Row& row) const;
    void resize(Row& row, std::size_t size) const;
    void put_plain(std::string_view text);
    void put(char32_t code);
    void put_tab();
    void combine(char32_t code);
    void control(unsigned char byte);
    void newline();
    void move_column(std::size_t column);
    void break_wide(Row& row, std::size_t column) const;
    std::size_t take_text(std::string_view bytes);
    std::size_t take_utf8(std::string_view bytes);
    void take_escape(unsigned char byte);
    void take_csi(unsigned char byte);
    void take_string(unsigned char byte);
    void run_csi(char command);
    bool run_cursor(char command);
    void run_edit(char command);
    void run_style();
    void erase_in_row(int mode);
    void erase_screen(int mode);
    std::size_t parameter(std::size_t index, std::size_t fallback) const;
    void scroll();
    void hand_on_all(bool end_last);
    void emit(const Row& row, bool ended);
    void emit_long_line();
    std::string render(const Row& row) const;

    bool keep_colours_;
    Sink sink_;
    std::deque<Row> rows_;
    std::size_t cursor_row_ = 0, cursor_column_ = 0;
    std::size_t saved_row_ = 0, saved_column_ = 0;
    std::int64_t stamp_ = 0;
    State state_ = State::text;
    std::string sequence_; // parameters of the control sequence being read
    std::size_t string_length_ = 0;
    std::string partial_; // the first bytes of a UTF-8 character
    TextStyle style_;
    std::uint16_t style_index_ = 0;
    std::vector<TextStyle> styles_{TextStyle{}};
    std::map<TextStyle, std::uint16_t> style_indexes_{{TextStyle{}, 0}};
};

} // namespace poster
