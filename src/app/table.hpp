#pragma once
// What people see: the terminal on stdout, colours, safe text, tables that fit.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <poster/run.hpp>

namespace poster {

enum class Colour { none, bold, dim, red, green, yellow, blue, magenta, cyan };

struct Terminal {
    bool is_terminal = false;
    bool colour = false;              // a terminal, and neither NO_COLOR nor TERM=dumb
    std::optional<std::size_t> width; // none: nothing is cut
};

Terminal terminal_on(int fd);
Terminal stdout_terminal();
std::string paint(std::string_view text, Colour colour, const Terminal& terminal);
Colour colour_of(Status status);
// Text from outside on one line: control characters are escaped, invalid UTF-8 is replaced.
std::string printable(std::string_view text);
// All of it, or Error. Ends the process quietly where the reader of a pipe has gone.
void print_out(std::string_view bytes);

class Table {
public:
    struct Column {
        std::string title;
        std::size_t least = 0; // may be cut down to this many columns; 0: is never cut
        bool right = false;    // aligned right
    };
    struct Cell {
        std::string text;
        Colour colour = Colour::none;
    };

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
    // Columns that hold nothing are left out.
    std::string render(const Terminal& terminal) const;

private:
    std::vector<std::size_t> fitting_widths(const Terminal& terminal) const;

    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

} // namespace poster
