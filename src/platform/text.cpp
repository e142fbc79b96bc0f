#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <utility>

namespace poster {

namespace {

constexpr char32_t kInvalid = 0xFFFFFFFF;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kEllipsis = "…";

struct Decoded {
    char32_t code = kInvalid;
    std::size_t length = 1; // bytes taken; of an invalid sequence, those that belong together
};

// The ranges of the Unicode standard's table 3-7: no overlong forms, surrogates or codes above 10FFFF.
Decoded decode(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return {first, 1};
    if (first < 0xC2 || first > 0xF4) return {};
    const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t code = first & (0xFF >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if (i >= text.size()) return {kInvalid, i};
        unsigned char low = 0x80;
        unsigned char high = 0xBF;
        if (i == 1 && first == 0xE0) low = 0xA0;
        if (i == 1 && first == 0xED) high = 0x9F;
        if (i == 1 && first == 0xF0) low = 0x90;
        if (i == 1 && first == 0xF4) high = 0x8F;
        if (byte(i) < low || byte(i) > high) return {kInvalid, i};
        code = code << 6 | (byte(i) & 0x3F);
    }
    return {code, length};
}

using Range = std::pair<char32_t, char32_t>;

// East Asian wide and emoji, by block: good enough for a table, and independent of the locale that wcwidth needs.
constexpr Range kWide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},  {0x25FD, 0x25FE}, {0x2614, 0x2615},   {0x2648, 0x2653},
    {0x26AA, 0x26AB},   {0x26BD, 0x26BE},   {0x2705, 0x2705},  {0x270A, 0x270B}, {0x2728, 0x2728},   {0x274C, 0x274C},
    {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},  {0x2B1B, 0x2B1C}, {0x2B50, 0x2B50},   {0x2E80, 0x303E},
    {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},  {0xA000, 0xA4CF}, {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},  {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
    {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD}};
constexpr Range kZero[] = {{0x0000, 0x001F}, {0x007F, 0x009F},  {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD},
                           {0x0610, 0x061A}, {0x064B, 0x065F},  {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F},
                           {0x202A, 0x202E}, {0x2060, 0x2064},  {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F},
                           {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF}};

template <std::size_t N>
bool within(char32_t code, const Range (&ranges)[N]) {
    return std::any_of(std::begin(ranges), std::end(ranges),
                       [code](const Range& range) { return code >= range.first && code <= range.second; });
}

std::size_t columns_of(char32_t code) {
    if (code == kInvalid) return 1;
    if (within(code, kZero)) return 0;
    return within(code, kWide) ? 2 : 1;
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
}

// Edits (insert, delete, change, swap of neighbours) from one word to the other, ignoring case.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
            }
        }
    }
    return cost[a.size()][b.size()];
}

constexpr std::pair<int, std::string_view> kSignals[] = {
    {SIGHUP, "SIGHUP"},       {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},   {SIGILL, "SIGILL"},   {SIGTRAP, "SIGTRAP"},
    {SIGABRT, "SIGABRT"},     {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},     {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},
    {SIGSEGV, "SIGSEGV"},     {SIGUSR2, "SIGUSR2"}, {SIGPIPE, "SIGPIPE"},   {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},
    {SIGSTKFLT, "SIGSTKFLT"}, {SIGCHLD, "SIGCHLD"}, {SIGCONT, "SIGCONT"},   {SIGSTOP, "SIGSTOP"}, {SIGTSTP, "SIGTSTP"},
    {SIGTTIN, "SIGTTIN"},     {SIGTTOU, "SIGTTOU"}, {SIGURG, "SIGURG"},     {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},
    {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGWINCH, "SIGWINCH"}, {SIGIO, "SIGIO"},     {SIGPWR, "SIGPWR"},
    {SIGSYS, "SIGSYS"}};

std::optional<int> whole_number(std::string_view text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
    return number;
}

} // namespace

std::string shell_quote(std::string_view word) {
    constexpr std::string_view kPlain = "_-./:,+@%=^";
    const auto plain = [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               kPlain.find(c) != std::string_view::npos;
    };
    if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return std::string{word};
    std::string quoted = "'";
    for (const char c : word) {
        if (c == '\'') {
            quoted += R"('\'')";
        } else {
            quoted += c;
        }
    }
    return quoted + "'";
}

std::string shell_join(const std::vector<std::string>& words) {
    std::string line;
    for (const auto& word : words) {
        if (&word != &words.front()) line += ' ';
        line += shell_quote(word);
    }
    return line;
}

std::optional<std::vector<std::string>> shell_split(std::string_view line) {
    std::vector<std::string> words;
    std::string word;
    bool begun = false; // also by '' alone
    char quote = '\0';
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        const bool escapes = c == '\\' && quote != '\'';
        if (escapes && i + 1 == line.size()) return std::nullopt;
        if (escapes) {
            const char next = line[++i];
            // Between double quotes a backslash is itself, unless what follows would mean something.
            if (quote == '"' && std::string_view("\"\\$`").find(next) == std::string_view::npos) word += c;
            word += next;
            begun = true;
        } else if (quote != '\0') {
            if (c == quote)
                quote = '\0';
            else
                word += c;
        } else if (c == '\'' || c == '"') {
            quote = c;
            begun = true;
        } else if (c == ' ' || c == '\t') {
            if (begun) words.push_back(std::exchange(word, {}));
            begun = false;
        } else if (c == '#' && !begun) {
            break;
        } else {
            word += c;
            begun = true;
        }
    }
    if (quote != '\0') return std::nullopt;
    if (begun) words.push_back(std::move(word));
    return words;
}

std::string closest(std::string_view word, const std::vector<std::string>& candidates) {
    std::size_t best = std::max<std::size_t>(1, (word.size() + 1) / 3) + 1;
    std::string found;
    for (const auto& candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best && distance < std::max(word.size(), candidate.size())) {
            best = distance;
            found = candidate;
        }
    }
    return found;
}

std::string format_bytes(std::uint64_t bytes) {
    if (bytes < 1000) return fmt::format("{} B", bytes);
    constexpr std::array kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
    double amount = double(bytes) / 1000;
    std::size_t unit = 0;
    while (amount >= 999.95 && unit + 1 < kUnits.size()) {
        amount /= 1000;
        ++unit;
    }
    return fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::size_t display_width(std::string_view utf8) {
    std::size_t columns = 0;
    while (!utf8.empty()) {
        const Decoded next = decode(utf8);
        columns += columns_of(next.code);
        utf8.remove_prefix(next.length);
    }
    return columns;
}

std::string shorten(std::string_view utf8, std::size_t columns) {
    if (display_width(utf8) <= columns) return std::string{utf8};
    if (columns == 0) return {};
    std::size_t used = 0;
    std::size_t bytes = 0;
    while (bytes < utf8.size()) {
        const Decoded next = decode(utf8.substr(bytes));
        used += columns_of(next.code);
        if (used > columns - 1) break;
        bytes += next.length;
    }
    return std::string{utf8.substr(0, bytes)}.append(kEllipsis);
}

std::string valid_utf8(std::string_view bytes) {
    std::string valid;
    valid.reserve(bytes.size());
    while (!bytes.empty()) {
        const Decoded next = decode(bytes);
        valid.append(next.code == kInvalid ? kReplacement : bytes.substr(0, next.length));
        bytes.remove_prefix(next.length);
    }
    return valid;
}

std::string in_a_line(std::string_view bytes, std::size_t columns) {
    std::string line = valid_utf8(bytes);
    for (std::size_t i = 0; i < line.size(); ++i) {
        const auto c = static_cast<unsigned char>(line[i]);
        const bool c1 = c == 0xC2 && static_cast<unsigned char>(line[i + 1]) < 0xA0; // of two bytes: U+0080 to U+009F
        if (c1) line.erase(i, 1);
        if (c1 || c < 0x20 || c == 0x7f) line[i] = ' ';
    }
    return shorten(line, columns);
}

std::size_t utf8_length(char first) {
    const auto c = static_cast<unsigned char>(first);
    return c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

std::string signal_name(int signal) {
    for (const auto& [number, name] : kSignals) {
        if (number == signal) return std::string{name};
    }
    if (signal == SIGRTMIN) return "SIGRTMIN";
    if (signal > SIGRTMIN && signal <= SIGRTMAX) return fmt::format("SIGRTMIN+{}", signal - SIGRTMIN);
    return fmt::format("signal {}", signal);
}

std::optional<int> signal_from_name(std::string_view name) {
    constexpr std::string_view kUnnamed = "signal ";
    if (name.substr(0, kUnnamed.size()) == kUnnamed) name.remove_prefix(kUnnamed.size());
    if (const auto number = whole_number(name)) return number > 0 && number <= SIGRTMAX ? number : std::nullopt;
    std::string full{name};
    std::transform(full.begin(), full.end(), full.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
    if (full.rfind("SIG", 0) != 0) full.insert(0, "SIG");
    for (const auto& [number, known] : kSignals) {
        if (known == full) return number;
    }
    constexpr std::string_view kRealTime = "SIGRTMIN";
    if (full == kRealTime) return SIGRTMIN;
    if (full.rfind("SIGRTMIN+", 0) != 0) return {};
    const auto offset = whole_number(std::string_view{full}.substr(kRealTime.size() + 1));
    if (!offset || *offset < 0 || SIGRTMIN + *offset > SIGRTMAX) return {};
    return SIGRTMIN + *offset;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        if (end > 0) parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

} // namespace poster
