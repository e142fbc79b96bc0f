#include "text_plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include <text.hpp>

#include "ticks.hpp"

namespace poster {

namespace {

constexpr std::size_t kLeastColumns = 8, kLeastRows = 3; // of the field
constexpr std::array<std::string_view, 8> kColours{"36", "33", "35", "32", "31", "34", "96", "95"};
constexpr std::string_view kLetters = "*+ox#%@&";
// The braille dots of a cell, by column and row.
constexpr unsigned char kDots[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};

struct Cell {
    unsigned char dots = 0;
    unsigned char curve = 0;
    bool raw = false; // of the curve before it was smoothed
};

// A field of cells; its dots are twice as many across and four times as many up.
class Field {
public:
    Field(std::size_t columns, std::size_t rows) : columns_(columns), rows_(rows), cells_(columns * rows) {}

    std::size_t columns() const { return columns_; }
    std::size_t rows() const { return rows_; }
    std::int64_t dots_across() const { return std::int64_t(columns_) * 2; }
    std::int64_t dots_up() const { return std::int64_t(rows_) * 4; }
    const Cell& at(std::size_t column, std::size_t row) const { return cells_[row * columns_ + column]; }

    // What is drawn over a raw curve takes its place; other curves share a cell.
    void dot(std::int64_t x, std::int64_t y, unsigned char curve, bool raw) {
        if (x < 0 || y < 0 || x >= dots_across() || y >= dots_up()) return;
        const auto row = std::size_t(dots_up() - 1 - y);
        Cell& cell = cells_[row / 4 * columns_ + std::size_t(x) / 2];
        if (cell.raw && !raw) cell.dots = 0;
        cell.dots |= kDots[x % 2][row % 4];
        cell.curve = curve;
        cell.raw = raw;
    }

    void line(std::int64_t x, std::int64_t y, std::int64_t to_x, std::int64_t to_y, unsigned char curve, bool raw) {
        const std::int64_t dx = std::abs(to_x - x), dy = -std::abs(to_y - y);
        const std::int64_t step_x = x < to_x ? 1 : -1, step_y = y < to_y ? 1 : -1;
        for (std::int64_t error = dx + dy;;) {
            dot(x, y, curve, raw);
            if (x == to_x && y == to_y) return;
            const std::int64_t twice = 2 * error;
            if (twice >= dy) error += dy, x += step_x;
            if (twice <= dx) error += dx, y += step_y;
        }
    }

private:
    std::size_t columns_, rows_;
    std::vector<Cell> cells_;
};

class Plotter {
public:
    Plotter(const Figure& figure, const TextStyle& style)
        : figure_(figure), style_(style), across_(x_range(figure)), up_(y_range(figure)) {}

    std::string plot() {
        const auto legend = legend_lines();
        const std::size_t other_lines = legend.size() + 2; // the axis and its numbers
        const std::size_t rows = std::max(kLeastRows, style_.rows > other_lines ? style_.rows - other_lines : 0);
        const auto marks = vertical_marks(rows);
        std::size_t margin = 0;
        for (const auto& mark : marks) margin = std::max(margin, display_width(mark));
        const std::size_t used = margin + 1;
        Field field(std::max(kLeastColumns, style_.columns > used ? style_.columns - used : 0), rows);
        draw_curves(field);
        std::string out;
        for (const auto& line : legend) out += line + "\n";
        for (std::size_t row = 0; row < rows; ++row) {
            out += std::string(margin - display_width(marks[row]), ' ') + marks[row];
            out += marks[row].empty() ? "│" : "┤";
            out += cells_of(field, row) + "\n";
        }
        return out + horizontal_axis(field.columns(), margin);
    }

private:
    std::string painted(std::string_view text, std::string_view code) const {
        return style_.colour ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
    }

    bool letters() const { return !style_.colour && figure_.curves.size() > 1; }

    // What stands for each curve, in as many lines as it takes; the name of the axis, where it fits, at the right.
    std::vector<std::string> legend_lines() const {
        std::vector<std::string> lines(1);
        std::size_t used = 0;
        for (std::size_t i = 0; i < figure_.curves.size(); ++i) {
            const std::string sign(letters() ? std::string(1, kLetters[i % kLetters.size()]) : "━━");
            const std::string label = shorten(figure_.curves[i].label, std::max<std::size_t>(style_.columns, 8) - 4);
            const std::size_t width = display_width(sign) + 1 + display_width(label);
            if (used > 0 && used + 2 + width > style_.columns) {
                lines.emplace_back();
                used = 0;
            }
            if (used > 0) lines.back() += "  ";
            lines.back() += painted(sign, kColours[i % kColours.size()]) + " " + label;
            used += (used > 0 ? 2 : 0) + width;
        }
        const std::string& name = figure_.y_label;
        if (!name.empty() && used + 2 + display_width(name) <= style_.columns)
            lines.back() += std::string(style_.columns - used - display_width(name), ' ') + painted(name, "2");
        return lines;
    }

    // Of each row the label of its mark, from the top; most are empty.
    std::vector<std::string> vertical_marks(std::size_t rows) const {
        std::vector<std::string> marks(rows);
        const std::size_t most = std::max<std::size_t>(2, rows / 3);
        for (const auto& tick : figure_.logarithmic ? logarithmic_ticks(up_, most) : number_ticks(up_, most)) {
            const double height = (tick.at - up_.low) / up_.size() * double(rows * 4 - 1);
            const auto row =
                rows - 1 - std::size_t(std::clamp(std::llround(height), 0LL, std::int64_t(rows * 4) - 1LL) / 4);
            if (marks[row].empty()) marks[row] = tick.label;
        }
        return marks;
    }

    void draw_curves(Field& field) const {
        for (std::size_t i = 0; i < figure_.curves.size(); ++i)
            if (style_.colour && !figure_.curves[i].raw.empty()) draw(field, i, figure_.curves[i].raw, true);
        for (std::size_t i = 0; i < figure_.curves.size(); ++i) draw(field, i, figure_.curves[i].y, false);
    }

    void draw(Field& field, std::size_t number, const std::vector<double>& y, bool raw) const {
        const auto last_x = double(field.dots_across() - 1), last_y = double(field.dots_up() - 1);
        const auto curve = static_cast<unsigned char>(number % kColours.size());
        for (const auto& line : reduced(figure_.curves[number].x, y, across_, up_, std::size_t(field.dots_across()),
                                        figure_.logarithmic)) {
            std::int64_t from_x = -1, from_y = 0;
            for (const auto& point : line) {
                const std::int64_t x = std::int64_t(std::min(point.x, last_x)), y_dot = std::llround(point.y * last_y);
                if (from_x < 0)
                    field.dot(x, y_dot, curve, raw);
                else
                    field.line(from_x, from_y, x, y_dot, curve, raw);
                from_x = x, from_y = y_dot;
            }
        }
    }

    std::string sign_of(const Cell& cell) const {
        if (letters()) return {kLetters[cell.curve % kLetters.size()]};
        return {char(0xe2), char(0xa0 | (cell.dots >> 6)), char(0x80 | (cell.dots & 0x3f))}; // U+2800 and its dots
    }

    std::string cells_of(const Field& field, std::size_t row) const {
        std::string out, run, code;
        std::size_t end = field.columns();
        while (end > 0 && field.at(end - 1, row).dots == 0) --end;
        auto flush = [&] {
            out += code.empty() ? run : painted(run, code);
            run.clear();
        };
        for (std::size_t column = 0; column < end; ++column) {
            const Cell& cell = field.at(column, row);
            std::string wanted;
            if (cell.dots != 0) wanted = std::string(cell.raw ? "2;" : "").append(kColours[cell.curve]);
            if (wanted != code) flush();
            code = wanted;
            run += cell.dots == 0 ? " " : sign_of(cell);
        }
        flush();
        return out;
    }

    // The line below the field with its marks, and their numbers.
    std::string horizontal_axis(std::size_t columns, std::size_t margin) const {
        std::vector<bool> marked(columns);
        std::string numbers(margin + 1, ' ');
        std::size_t used = margin + 1; // of the line of numbers
        const std::string& name = figure_.x_label;
        const std::size_t whole = margin + 1 + columns;
        const std::size_t room =
            name.empty() || columns < 3 * display_width(name) ? whole : whole - display_width(name) - 1;
        bool first = true;
        for (const auto& tick : ticks_of(figure_.x_axis, across_, std::max<std::size_t>(2, columns / 12))) {
            const double place = (tick.at - across_.low) / across_.size() * double(columns * 2 - 1) / 2;
            const auto column = std::size_t(std::clamp(place, 0., double(columns - 1)));
            const std::size_t width = display_width(tick.label), centre = margin + 1 + column;
            const std::size_t begin = std::max(centre - std::min(width / 2, centre), first ? 0 : used + 1);
            if (begin > centre || begin + width > room) continue;
            marked[column] = true;
            if (begin < used) numbers.resize(begin);
            numbers += std::string(begin - numbers.size(), ' ') + tick.label;
            used = begin + width;
            first = false;
        }
        std::string axis = std::string(margin, ' ') + "└";
        for (bool mark : marked) axis += mark ? "┬" : "─";
        if (room < whole)
            numbers += std::string(whole - display_width(name) - std::min(used, whole), ' ') + painted(name, "2");
        return axis + "\n" + numbers + "\n";
    }

    const Figure& figure_;
    const TextStyle& style_;
    Range across_, up_;
};

} // namespace

std::string text_plot(const Figure& figure, const TextStyle& style) {
    return Plotter(figure, style).plot();
}

} // namespace poster
