#include "folding.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include <text.hpp>

namespace poster {

namespace {

constexpr char32_t kCluster = 0x200000;  // + index into Row::clusters
constexpr char32_t kRawByte = 0x400000;  // + a byte that is no UTF-8
constexpr char32_t kWideTail = 0x800000; // the second column of a wide character
constexpr char32_t kTabTail = 0x800001;  // the columns of a tab but its first
constexpr std::size_t kTab = 8;
constexpr std::size_t kLongLine = 1 << 20;
constexpr std::size_t kFarthestColumn = 1000; // where a cursor move may go beyond the end of a line
constexpr std::size_t kLongestString = 1 << 16;
constexpr std::size_t kMostStyles = 60'000;

bool is_plain(unsigned char byte) {
    return byte >= 0x20 && byte < 0x7f;
}

// How many bytes from the front are printable ASCII; eight at a time.
std::size_t plain_prefix(std::string_view bytes) {
    constexpr std::uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i, 8);
        std::uint64_t below_space = (word - kOnes * 0x20) & ~word;
        std::uint64_t is_delete = (word ^ (kOnes * 0x7f)) - kOnes;
        if (((below_space | is_delete | word) & kHigh) != 0) break;
    }
    while (i < bytes.size() && is_plain(static_cast<unsigned char>(bytes[i]))) ++i;
    return i;
}

std::size_t sequence_length(unsigned char first) {
    if (first >= 0xc2 && first < 0xe0) return 2;
    if (first >= 0xe0 && first < 0xf0) return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

char32_t decode(std::string_view bytes) {
    char32_t code = static_cast<unsigned char>(bytes[0]) & (0xff >> (bytes.size() + 1));
    for (std::size_t i = 1; i < bytes.size(); ++i) code = code << 6 | (static_cast<unsigned char>(bytes[i]) & 0x3f);
    return code;
}

void encode(char32_t code, std::string& out) {
    if (code < 0x80) {
        out += char(code);
    } else if (code < 0x800) {
        out += {char(0xc0 | code >> 6), char(0x80 | (code & 0x3f))};
    } else if (code < 0x10000) {
        out += {char(0xe0 | code >> 12), char(0x80 | (code >> 6 & 0x3f)), char(0x80 | (code & 0x3f))};
    } else {
        out += {char(0xf0 | code >> 18), char(0x80 | (code >> 12 & 0x3f)), char(0x80 | (code >> 6 & 0x3f)),
                char(0x80 | (code & 0x3f))};
    }
}

std::size_t width_of(char32_t code) {
    if (code < 0x300 || (code >= 0x2500 && code < 0x25a0)) return 1; // Latin; lines and blocks of progress bars
    std::string text;
    encode(code, text);
    return display_width(text);
}

std::string select_style(const TextStyle& style) {
    std::string out = "\033[0";
    for (int n = 1; n <= 9; ++n)
        if ((style.attributes & 1U << n) != 0) out += ";" + std::to_string(n);
    if (!style.foreground.empty()) out += ";" + style.foreground;
    if (!style.background.empty()) out += ";" + style.background;
    return out + "m";
}

int number(std::string_view text) {
    int value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::vector<std::string> parameters_of(std::string_view sequence) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= sequence.size();) {
        std::size_t end = std::min(sequence.find(';', begin), sequence.size());
        parts.emplace_back(sequence.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

// "38;5;208" and "38;2;R;G;B" take the parameters after them along.
std::string extended_colour(const std::vector<std::string>& parts, std::size_t& i) {
    std::size_t count = 0;
    if (i + 1 < parts.size()) count = parts[i + 1] == "5" ? 2 : parts[i + 1] == "2" ? 4 : 0;
    if (count == 0 || i + count >= parts.size()) return {};
    std::string colour = parts[i];
    for (; count > 0; --count) colour += ";" + parts[++i];
    return colour;
}

void apply_style(TextStyle& style, const std::vector<std::string>& parts, std::size_t& i) {
    const std::string& part = parts[i];
    int code = number(part);
    auto clear = [&](std::initializer_list<int> bits) {
        for (int bit : bits) style.attributes &= std::uint16_t(~(1U << bit));
    };
    if (code == 0)
        style = {};
    else if (part == "4:0" || code == 21 || code == 24)
        clear({4});
    else if (code >= 1 && code <= 9)
        style.attributes |= std::uint16_t(1U << code);
    else if (code == 22)
        clear({1, 2});
    else if (code == 25)
        clear({5, 6});
    else if (code >= 23 && code <= 29)
        clear({code - 20});
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97))
        style.foreground = part;
    else if (code == 38)
        style.foreground = part.find(':') != std::string::npos ? part : extended_colour(parts, i);
    else if (code == 39)
        style.foreground.clear();
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107))
        style.background = part;
    else if (code == 48)
        style.background = part.find(':') != std::string::npos ? part : extended_colour(parts, i);
    else if (code == 49)
        style.background.clear();
    else if (code == 58)
        extended_colour(parts, i);
}

} // namespace

Folder::Folder(bool keep_colours, Sink sink) : keep_colours_(keep_colours), sink_(std::move(sink)) {}

// --- the screen ---

Folder::Row& Folder::row() {
    while (rows_.size() <= cursor_row_) rows_.emplace_back().stamp = stamp_;
    return rows_[cursor_row_];
}

void Folder::enrich(Row& row) const {
    if (row.rich) return;
    row.rich = true;
    row.cells.reserve(row.plain.size() + 16);
    for (char c : row.plain) row.cells.push_back({char32_t(c), 0});
    row.plain.clear();
}

void Folder::resize(Row& row, std::size_t size) const {
    if (row.rich)
        row.cells.resize(size);
    else
        row.plain.resize(size, ' ');
}

// Half of a wide character or a tab cannot stay when the other half goes.
void Folder::break_wide(Row& row, std::size_t column) const {
    auto is_tail = [&](std::size_t i) { return row.cells[i].code == kWideTail || row.cells[i].code == kTabTail; };
    if (!row.rich || column >= row.cells.size()) return;
    if (is_tail(column)) {
        std::size_t begin = column;
        while (begin > 0 && is_tail(begin)) row.cells[begin--].code = U' ';
        row.cells[begin].code = U' ';
    }
    for (std::size_t i = column + 1; i < row.cells.size() && is_tail(i); ++i) row.cells[i].code = U' ';
}

void Folder::put_plain(std::string_view text) {
    Row& line = row();
    line.stamp = stamp_;
    if (!line.rich && style_index_ == 0) {
        if (line.plain.size() < cursor_column_) line.plain.resize(cursor_column_, ' ');
        std::size_t over = std::min(text.size(), line.plain.size() - cursor_column_);
        line.plain.replace(cursor_column_, over, text);
        cursor_column_ += text.size();
        if (line.plain.size() > kLongLine) emit_long_line();
        return;
    }
    for (char c : text) put(char32_t(c));
}

void Folder::put(char32_t code) {
    std::size_t width = code >= kRawByte ? 1 : width_of(code);
    if (width == 0) return combine(code);
    Row& line = row();
    enrich(line);
    line.stamp = stamp_;
    for (std::size_t i = 0; i < width; ++i) break_wide(line, cursor_column_ + i);
    if (line.cells.size() < cursor_column_ + width) line.cells.resize(cursor_column_ + width);
    line.cells[cursor_column_] = {code, style_index_};
    if (width == 2) line.cells[cursor_column_ + 1] = {kWideTail, style_index_};
    cursor_column_ += width;
    if (line.cells.size() > kLongLine) emit_long_line();
}

void Folder::put_tab() {
    Row& line = row();
    std::size_t next = (cursor_column_ / kTab + 1) * kTab;
    if (cursor_column_ == line.size()) { // drawn only where nothing stands: so tables keep their tabs
        enrich(line);
        line.stamp = stamp_;
        line.cells.push_back({U'\t', 0});
        line.cells.resize(next, {kTabTail, 0});
    }
    cursor_column_ = next;
}

void Folder::combine(char32_t code) {
    Row& line = row();
    enrich(line);
    std::size_t column = std::min(cursor_column_, line.cells.size());
    while (column > 0 && line.cells[column - 1].code == kWideTail) --column;
    if (column == 0) return;
    Cell& cell = line.cells[column - 1];
    if (cell.code >= kCluster && cell.code < kRawByte) {
        std::string& cluster = line.clusters[cell.code - kCluster];
        if (cluster.size() < 64) encode(code, cluster);
        return;
    }
    if (cell.code >= kRawByte) return;
    std::string cluster;
    encode(cell.code, cluster);
    encode(code, cluster);
    cell.code = kCluster + char32_t(line.clusters.size());
    line.clusters.push_back(std::move(cluster));
}

void Folder::move_column(std::size_t column) {
    std::size_t length = cursor_row_ < rows_.size() ? rows_[cursor_row_].size() : 0;
    cursor_column_ = std::min(column, std::max(length, kFarthestColumn));
}

void Folder::newline() {
    if (cursor_row_ >= rows_.size()) row();
    ++cursor_row_;
    cursor_column_ = 0;
    if (cursor_row_ >= kScreenRows) scroll();
}

void Folder::scroll() {
    while (cursor_row_ >= kScreenRows) {
        if (rows_.empty()) rows_.emplace_back();
        emit(rows_.front(), true);
        rows_.pop_front();
        --cursor_row_;
        saved_row_ -= saved_row_ > 0 ? 1 : 0;
    }
}

void Folder::control(unsigned char byte) {
    switch (byte) {
    case '\n':
    case '\v':
    case '\f': return newline();
    case '\r': cursor_column_ = 0; return;
    case '\b': cursor_column_ -= cursor_column_ > 0 ? 1 : 0; return;
    case '\t': return put_tab();
    case 0x1b: state_ = State::escape; return;
    default: return; // bell, NUL, shift … show nothing
    }
}

// --- reading ---

void Folder::feed(std::string_view bytes, std::int64_t stamp) {
    stamp_ = stamp;
    for (std::size_t i = 0; i < bytes.size();) {
        if (state_ == State::text) {
            i += take_text(bytes.substr(i));
            continue;
        }
        auto byte = static_cast<unsigned char>(bytes[i++]);
        switch (state_) {
        case State::escape: take_escape(byte); break;
        case State::charset: state_ = State::text; break;
        case State::csi: take_csi(byte); break;
        default: take_string(byte); break;
        }
    }
}

std::size_t Folder::take_text(std::string_view bytes) {
    if (partial_.empty()) {
        if (std::size_t length = plain_prefix(bytes); length > 0) {
            // In pieces, so that a line of any length stays within its bounds.
            length = std::min(length, kLongLine);
            put_plain(bytes.substr(0, length));
            return length;
        }
        auto byte = static_cast<unsigned char>(bytes[0]);
        if (byte < 0x20 || byte == 0x7f) {
            control(byte);
            return 1;
        }
    }
    return take_utf8(bytes);
}

// `partial_` may hold the beginning of a character from the bytes fed before.
std::size_t Folder::take_utf8(std::string_view bytes) {
    std::size_t taken = 0;
    if (partial_.empty()) partial_ += bytes[taken++];
    std::size_t length = sequence_length(static_cast<unsigned char>(partial_[0]));
    while (partial_.size() < length && taken < bytes.size() && is_continuation(bytes[taken]))
        partial_ += bytes[taken++];
    if (partial_.size() < length && taken == bytes.size()) return taken;
    std::string whole = std::exchange(partial_, {});
    if (whole.size() == length && valid_utf8(whole) == whole) {
        char32_t code = decode(whole);
        if (code >= 0xa0) put(code); // U+0080 to U+009F are control characters
    } else {
        for (char c : whole) put(kRawByte + static_cast<unsigned char>(c));
    }
    return taken;
}

void Folder::take_escape(unsigned char byte) {
    state_ = State::text;
    switch (byte) {
    case '[':
        state_ = State::csi;
        sequence_.clear();
        return;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
        state_ = State::string;
        string_length_ = 0;
        return;
    case '(':
    case ')':
    case '*':
    case '+':
    case '#':
    case '%':
    case ' ': state_ = State::charset; return;
    case '7':
        saved_row_ = cursor_row_;
        saved_column_ = cursor_column_;
        return;
    case '8':
        cursor_row_ = saved_row_;
        cursor_column_ = saved_column_;
        return;
    case 'D':
    case 'E': return newline();
    case 'M': cursor_row_ -= cursor_row_ > 0 ? 1 : 0; return;
    case 'c': return erase_screen(2);
    case 0x1b: state_ = State::escape; return;
    default:
        if (byte < 0x20) control(byte);
    }
}

void Folder::take_csi(unsigned char byte) {
    if (byte >= 0x40 && byte < 0x7f) {
        state_ = State::text;
        run_csi(char(byte));
    } else if (byte == 0x1b) {
        state_ = State::escape;
    } else if (byte == 0x18 || byte == 0x1a || byte >= 0x7f || sequence_.size() > 256) {
        state_ = State::text;
    } else if (byte < 0x20) {
        control(byte); // a terminal obeys it in the middle of a sequence
    } else {
        sequence_ += char(byte);
    }
}

// A title or hyperlink: up to BEL or ESC \. One that never ends must not swallow the log: a newline ends it, too.
void Folder::take_string(unsigned char byte) {
    bool after_escape = state_ == State::string_escape;
    state_ = State::string;
    if (byte == 0x07 || byte == 0x18 || byte == 0x1a || (after_escape && byte == '\\') ||
        ++string_length_ > kLongestString) {
        state_ = State::text;
    } else if (byte == '\n') {
        state_ = State::text;
        newline();
    } else if (after_escape) {
        take_escape(byte);
    } else if (byte == 0x1b) {
        state_ = State::string_escape;
    }
}

// --- control sequences ---

std::size_t Folder::parameter(std::size_t index, std::size_t fallback) const {
    auto parts = parameters_of(sequence_);
    int value = index < parts.size() ? number(parts[index]) : 0;
    return value > 0 ? std::size_t(value) : fallback;
}

void Folder::run_csi(char command) {
    if (!sequence_.empty() && sequence_.front() >= '<' && sequence_.front() <= '?') return; // private modes
    if (command == 'm') {
        if (keep_colours_) run_style();
    } else if (!run_cursor(command)) {
        run_edit(command);
    }
}

bool Folder::run_cursor(char command) {
    auto down = [&](std::size_t rows) { cursor_row_ = std::min(cursor_row_ + rows, kScreenRows - 1); };
    auto up = [&](std::size_t rows) { cursor_row_ -= std::min(cursor_row_, rows); };
    std::size_t count = parameter(0, 1);
    switch (command) {
    case 'A': up(count); return true;
    case 'B':
    case 'e': down(count); return true;
    case 'C':
    case 'a': move_column(cursor_column_ + count); return true;
    case 'D': cursor_column_ -= std::min(cursor_column_, count); return true;
    case 'E':
        down(count);
        cursor_column_ = 0;
        return true;
    case 'F':
        up(count);
        cursor_column_ = 0;
        return true;
    case 'G':
    case '`': move_column(count - 1); return true;
    case 'H':
    case 'f':
        cursor_row_ = std::min(count, kScreenRows) - 1;
        move_column(parameter(1, 1) - 1);
        return true;
    case 'd': cursor_row_ = std::min(count, kScreenRows) - 1; return true;
    case 's':
        saved_row_ = cursor_row_;
        saved_column_ = cursor_column_;
        return true;
    case 'u':
        cursor_row_ = saved_row_;
        cursor_column_ = saved_column_;
        return true;
    default: return false;
    }
}

void Folder::run_edit(char command) {
    if (command == 'J') return erase_screen(int(parameter(0, 0)));
    if (command == 'K') return erase_in_row(int(parameter(0, 0)));
    if (command == 'L' || command == 'M') cursor_column_ = 0;
    if (cursor_row_ >= rows_.size()) return;
    auto here = rows_.begin() + std::ptrdiff_t(cursor_row_);
    std::size_t count = parameter(0, 1);
    if (command == 'L' || command == 'M') {
        count = std::min(count, kScreenRows);
        if (command == 'M') rows_.erase(here, here + std::ptrdiff_t(std::min(count, rows_.size() - cursor_row_)));
        if (command == 'L') rows_.insert(here, count, Row{});
        if (rows_.size() > kScreenRows) rows_.resize(kScreenRows);
        return;
    }
    Row& line = *here;
    if (cursor_column_ >= line.size() || (command != 'P' && command != '@' && command != 'X')) return;
    enrich(line);
    for (Cell& cell : line.cells) // what is shifted or cut would no longer end at a tab stop
        if (cell.code == U'\t' || cell.code == kTabTail) cell.code = U' ';
    break_wide(line, cursor_column_);
    auto begin = line.cells.begin() + std::ptrdiff_t(cursor_column_);
    auto end = begin + std::ptrdiff_t(std::min(count, line.cells.size() - cursor_column_));
    if (command == 'P') line.cells.erase(begin, end);
    if (command == '@') line.cells.insert(begin, std::min(count, kFarthestColumn), Cell{});
    if (command == 'X') std::fill(begin, end, Cell{});
    line.stamp = stamp_;
}

void Folder::erase_in_row(int mode) {
    if (mode > 2 || cursor_row_ >= rows_.size()) return;
    Row& line = rows_[cursor_row_];
    line.stamp = stamp_;
    std::size_t size = line.size();
    if (mode == 2 || (mode == 1 && cursor_column_ + 1 >= size)) return resize(line, 0);
    if (mode == 0) {
        break_wide(line, cursor_column_);
        return resize(line, std::min(size, cursor_column_));
    }
    enrich(line);
    break_wide(line, cursor_column_ + 1);
    std::fill_n(line.cells.begin(), cursor_column_ + 1, Cell{});
}

void Folder::erase_screen(int mode) {
    if (mode > 2) return; // 3 is the scrollback: what was logged stays
    if (mode == 0) {
        erase_in_row(0);
        if (rows_.size() > cursor_row_ + 1) rows_.resize(cursor_row_ + 1);
        return;
    }
    std::size_t end = mode == 1 ? std::min(cursor_row_, rows_.size()) : rows_.size();
    for (std::size_t i = 0; i < end; ++i) resize(rows_[i], 0);
    if (mode == 1) erase_in_row(1);
}

void Folder::run_style() {
    auto parts = parameters_of(sequence_);
    for (std::size_t i = 0; i < parts.size(); ++i) apply_style(style_, parts, i);
    auto known = style_indexes_.find(style_);
    if (known != style_indexes_.end()) {
        style_index_ = known->second;
    } else if (styles_.size() < kMostStyles) {
        style_index_ = std::uint16_t(styles_.size());
        style_indexes_[style_] = style_index_;
        styles_.push_back(style_);
    }
}

// --- handing on ---

std::string Folder::render(const Row& row) const {
    std::string text;
    text.reserve(row.cells.size() + 16);
    std::uint16_t style = 0;
    for (const Cell& cell : row.cells) {
        if (cell.code == kWideTail || cell.code == kTabTail) continue;
        if (cell.style != style) {
            text += cell.style == 0 ? std::string("\033[0m") : select_style(styles_[cell.style]);
            style = cell.style;
        }
        if (cell.code >= kRawByte) {
            if (keep_colours_)
                text += "\xEF\xBF\xBD";
            else
                text += char(cell.code - kRawByte);
        } else if (cell.code >= kCluster) {
            text += row.clusters[cell.code - kCluster];
        } else {
            encode(cell.code, text);
        }
    }
    if (style != 0) text += "\033[0m";
    return text;
}

void Folder::emit(const Row& row, bool ended) {
    if (row.rich)
        sink_({render(row), row.stamp, row.continues, ended});
    else
        sink_({row.plain, row.stamp, row.continues, ended});
}

void Folder::emit_long_line() {
    for (; cursor_row_ > 0; --cursor_row_) {
        emit(rows_.front(), true);
        rows_.pop_front();
    }
    saved_row_ = 0;
    emit(rows_.front(), false);
    rows_.front() = Row{};
    rows_.front().continues = true;
    rows_.front().stamp = stamp_;
    cursor_column_ = 0;
}

void Folder::settle() {
    for (; cursor_row_ > 0; --cursor_row_) {
        if (rows_.empty()) rows_.emplace_back();
        emit(rows_.front(), true);
        rows_.pop_front();
        saved_row_ -= saved_row_ > 0 ? 1 : 0;
    }
}

void Folder::hand_on_all(bool end_last) {
    for (char c : std::exchange(partial_, {})) put(kRawByte + static_cast<unsigned char>(c));
    while (rows_.size() > cursor_row_ && rows_.back().size() == 0 && !rows_.back().continues) rows_.pop_back();
    for (const Row& row : rows_) emit(row, end_last || &row != &rows_.back() || cursor_row_ >= rows_.size());
}

void Folder::finish() {
    hand_on_all(true);
    rows_.clear();
    cursor_row_ = cursor_column_ = saved_row_ = saved_column_ = 0;
}

std::string Folder::finish_on_terminal() {
    hand_on_all(false);
    std::string moves;
    if (cursor_row_ < rows_.size()) {
        std::size_t up = rows_.size() - 1 - cursor_row_;
        moves = up > 0 ? "\r\033[" + std::to_string(up) + "A" : "\r";
    }
    if (cursor_column_ > 0) moves += "\033[" + std::to_string(cursor_column_) + "C";
    if (style_index_ != 0) moves += select_style(style_);
    rows_.clear();
    cursor_row_ = cursor_column_ = saved_row_ = saved_column_ = 0;
    return moves;
}

} // namespace poster
