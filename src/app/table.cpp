#include "table.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>
#include <text.hpp>

namespace poster {

namespace {

constexpr std::string_view kGap = "  ";
constexpr std::size_t kUsualWidth = 80;

std::optional<std::size_t> columns_variable() {
    const char* text = std::getenv("COLUMNS");
    if (text == nullptr) return std::nullopt;
    std::size_t columns = 0;
    auto [end, error] = std::from_chars(text, text + std::strlen(text), columns);
    if (error != std::errc{} || *end != '\0' || columns == 0) return std::nullopt;
    return columns;
}

std::string_view code_of(Colour colour) {
    switch (colour) {
    case Colour::none: return "";
    case Colour::bold: return "\033[1m";
    case Colour::dim: return "\033[2m";
    case Colour::red: return "\033[31m";
    case Colour::green: return "\033[32m";
    case Colour::yellow: return "\033[33m";
    case Colour::blue: return "\033[34m";
    case Colour::magenta: return "\033[35m";
    case Colour::cyan: return "\033[36m";
    }
    return "";
}

std::string padded(const std::string& text, std::size_t width, bool right) {
    std::size_t used = display_width(text);
    std::string space(width > used ? width - used : 0, ' ');
    return right ? space + text : text + space;
}

} // namespace

Terminal terminal_on(int fd) {
    Terminal terminal;
    terminal.is_terminal = ::isatty(fd) == 1;
    if (!terminal.is_terminal) return terminal;
    const char* no_colour = std::getenv("NO_COLOR");
    const char* kind = std::getenv("TERM");
    terminal.colour =
        (no_colour == nullptr || *no_colour == '\0') && (kind == nullptr || std::string_view(kind) != "dumb");
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal.width = size.ws_col;
    else
        terminal.width = columns_variable().value_or(kUsualWidth);
    return terminal;
}

Terminal stdout_terminal() {
    return terminal_on(STDOUT_FILENO);
}

std::string paint(std::string_view text, Colour colour, const Terminal& terminal) {
    if (!terminal.colour || colour == Colour::none || text.empty()) return std::string(text);
    return fmt::format("{}{}\033[0m", code_of(colour), text);
}

Colour colour_of(Status status) {
    switch (status) {
    case Status::queued: return Colour::dim;
    case Status::running: return Colour::blue;
    case Status::finished: return Colour::green;
    case Status::failed: return Colour::red;
    case Status::killed:
    case Status::timeout: return Colour::magenta;
    case Status::preempted: return Colour::cyan;
    case Status::lost: return Colour::yellow;
    }
    return Colour::none;
}

std::string printable(std::string_view text) {
    std::string valid = valid_utf8(text);
    std::string out;
    out.reserve(valid.size());
    for (std::size_t i = 0; i < valid.size(); ++i) {
        auto byte = static_cast<unsigned char>(valid[i]);
        bool c1 = byte == 0xc2 && i + 1 < valid.size() && static_cast<unsigned char>(valid[i + 1]) < 0xa0;
        if (byte == '\n')
            out += "\\n";
        else if (byte == '\t')
            out += "\\t";
        else if (byte == '\r')
            out += "\\r";
        else if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\x{:02x}", byte);
        else if (c1)
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(valid[++i]));
        else
            out += valid[i];
    }
    return out;
}

void print_out(std::string_view bytes) {
    if (write_all(STDOUT_FILENO, bytes)) return;
    // Only with SIGPIPE ignored does one get here; there is nobody left to tell.
    if (errno == EPIPE) ::_exit(1);
    throw_errno("write to standard output", errno);
}

std::vector<std::size_t> Table::fitting_widths(const Terminal& terminal) const {
    std::vector<std::size_t> widths(columns_.size(), 0);
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i].text));
    for (std::size_t i = 0; i < widths.size(); ++i)
        if (widths[i] > 0) widths[i] = std::max(widths[i], display_width(columns_[i].title));
    if (!terminal.width) return widths;
    auto shown = std::size_t(std::count_if(widths.begin(), widths.end(), [](std::size_t width) { return width > 0; }));
    std::size_t total = std::accumulate(widths.begin(), widths.end(), shown > 0 ? (shown - 1) * kGap.size() : 0);
    for (; total > *terminal.width; --total) {
        std::size_t widest = columns_.size();
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            bool can_shrink = columns_[i].least > 0 && widths[i] > columns_[i].least;
            if (can_shrink && (widest == columns_.size() || widths[i] > widths[widest])) widest = i;
        }
        if (widest == columns_.size()) break;
        --widths[widest];
    }
    return widths;
}

std::string Table::render(const Terminal& terminal) const {
    if (rows_.empty()) return {};
    auto widths = fitting_widths(terminal);
    std::size_t last = 0;
    for (std::size_t i = 0; i < widths.size(); ++i)
        if (widths[i] > 0) last = i;
    std::string out;
    auto put_row = [&](auto&& cell_of) {
        std::size_t left = terminal.width.value_or(std::string::npos);
        std::string line;
        for (std::size_t i = 0; i <= last; ++i) {
            if (widths[i] == 0) continue;
            const auto& [text, colour] = cell_of(i);
            std::size_t gap = line.empty() ? 0 : kGap.size();
            if (left <= gap) break; // a terminal too narrow even for the shrunken columns
            if (gap > 0) line += kGap;
            left -= gap;
            std::string cut = shorten(text, std::min(widths[i], left));
            bool pad = i != last || columns_[i].right;
            line += paint(pad ? padded(cut, std::min(widths[i], left), columns_[i].right) : cut, colour, terminal);
            left -= std::min(widths[i], left);
        }
        if (!terminal.colour) line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    };
    put_row([&](std::size_t i) { return Cell{columns_[i].title, Colour::bold}; });
    for (const auto& row : rows_) put_row([&](std::size_t i) { return row[i]; });
    return out;
}

} // namespace poster
