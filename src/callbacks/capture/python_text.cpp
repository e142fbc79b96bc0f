#include "python_text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include <fmt/format.h>

namespace poster {

namespace {

using std::string_view;

bool is_digit(char c, int base = 10) {
    if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return true;
    return c >= '0' && c < '0' + std::min(base, 10);
}

// ---- characters

struct CodePoint {
    std::uint32_t value = 0;
    std::size_t length = 0; // 0: no UTF-8
};

CodePoint decode(string_view text) {
    if (text.empty()) return {};
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : byte(0) >= 0xC2 ? 2 : 0;
    if (length == 0 || text.size() < length) return {};
    std::uint32_t value = length == 1 ? byte(0) : byte(0) & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return {};
        value = value << 6U | (byte(i) & 0x3FU);
    }
    return {value, length};
}

void append_utf8(std::string& text, std::uint32_t c) {
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
    if (c < 0x80) {
        text += char(c);
        return;
    }
    if (c >= 0x10000) {
        text += char(0xF0U | c >> 18U);
        text += char(0x80U | (c >> 12U & 0x3FU));
    } else if (c >= 0x800) {
        text += char(0xE0U | c >> 12U);
    } else {
        text += char(0xC0U | c >> 6U);
    }
    if (c >= 0x800) text += char(0x80U | (c >> 6U & 0x3FU));
    text += char(0x80U | (c & 0x3FU));
}

// Letters of most scripts; punctuation, symbols and emoji are none. Python knows each character, this the blocks.
bool is_letter(std::uint32_t c) {
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (c < 0xC0) return c == 0xAA || c == 0xB5 || c == 0xBA;
    if (c == 0xD7 || c == 0xF7) return false;
    if (c < 0x2000) return true;
    return (c >= 0x2C00 && c < 0x2E00) || (c >= 0x3041 && c < 0xD800) || (c >= 0xF900 && c < 0xFD3E) ||
           (c >= 0x10000 && c < 0x1F000) || (c >= 0x20000 && c < 0x32000);
}

// ---- numbers

// Digits with single underscores between them, also one at the beginning where `leading`.
std::string read_digits(string_view text, std::size_t& at, int base, bool leading_underscore) {
    std::string digits;
    for (;;) {
        const bool underscore = at + 1 < text.size() && text[at] == '_' && is_digit(text[at + 1], base);
        if (underscore && (leading_underscore || !digits.empty())) ++at;
        if (at >= text.size() || !is_digit(text[at], base)) return digits;
        digits += text[at++];
    }
}

std::optional<PythonNumber> read_based(string_view text, int base) {
    PythonNumber number;
    number.base = base;
    number.length = 2;
    number.digits = read_digits(text, number.length, base, true);
    if (number.digits.empty()) return std::nullopt;
    return number;
}

bool is_one_of(char c, string_view characters) {
    return characters.find(c) != string_view::npos;
}

// ---- strings

struct Prefix {
    std::size_t length = 0;
    bool raw = false, bytes = false, valid = true;
};

Prefix read_prefix(string_view text) {
    Prefix prefix;
    std::string letters;
    while (prefix.length < text.size() && prefix.length < 3 && !is_one_of(text[prefix.length], "'\""))
        letters += char(std::tolower(static_cast<unsigned char>(text[prefix.length++])));
    prefix.raw = letters.find('r') != std::string::npos;
    prefix.bytes = letters.find('b') != std::string::npos;
    constexpr std::array<string_view, 6> kKnown{"", "r", "u", "b", "br", "rb"};
    prefix.valid = false;
    for (auto known : kKnown) prefix.valid |= letters == known;
    return prefix;
}

std::optional<std::uint32_t> read_code(string_view text, std::size_t at, std::size_t most, int base, bool exact) {
    std::uint32_t value = 0;
    std::size_t n = 0;
    for (; n < most && at + n < text.size() && is_digit(text[at + n], base); ++n) {
        const char c = text[at + n];
        const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        value = value * std::uint32_t(base) + std::uint32_t(digit);
    }
    return n == 0 || (exact && n < most) ? std::nullopt : std::optional(value);
}

// One escape, whose backslash stands at `at`; false: malformed.
bool read_escape(string_view text, std::size_t& at, bool bytes, std::string& content) {
    constexpr string_view kNames = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = at + 1 < text.size() ? text[at + 1] : '\0';
    const auto put = [&](std::uint32_t code) {
        if (bytes)
            content += char(code);
        else
            append_utf8(content, code);
    };
    if (c == '\n') {
        at += 2;
    } else if (const auto known = kNames.find(c); known != string_view::npos && c != '\0') {
        content += kMeanings[known];
        at += 2;
    } else if (is_digit(c, 8)) {
        std::size_t length = 1;
        while (length < 3 && at + 1 + length < text.size() && is_digit(text[at + 1 + length], 8)) ++length;
        put(read_code(text, at + 1, length, 8, false).value_or(0));
        at += 1 + length;
    } else if (c == 'x' || (!bytes && (c == 'u' || c == 'U'))) {
        const std::size_t length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        const auto code = read_code(text, at + 2, length, 16, true);
        if (!code || *code > 0x10FFFF) return false;
        put(*code);
        at += 2 + length;
    } else if (!bytes && c == 'N') {
        return false;
    } else { // no escape: the backslash stays
        content += '\\';
        ++at;
    }
    return true;
}

std::string escaped(std::uint32_t c, char quote) {
    if (c == std::uint32_t(quote) || c == '\\') return {'\\', char(c)};
    if (c == '\n') return "\\n";
    if (c == '\r') return "\\r";
    if (c == '\t') return "\\t";
    return fmt::format("\\x{:02x}", c);
}

char quote_for(string_view text) {
    const bool single = text.find('\'') != string_view::npos, twice = text.find('"') != string_view::npos;
    return single && !twice ? '"' : '\'';
}

bool is_plain(std::uint32_t c, char quote) {
    return c >= 0x20 && c != 0x7F && c != std::uint32_t(quote) && c != '\\';
}

} // namespace

std::size_t python_identifier_length(string_view text) {
    std::size_t length = 0;
    for (;;) {
        const CodePoint next = decode(text.substr(std::min(length, text.size())));
        const bool digit = length > 0 && next.value >= '0' && next.value <= '9';
        if (next.length == 0 || (!is_letter(next.value) && !digit)) return length;
        length += next.length;
    }
}

std::optional<PythonNumber> read_python_number(string_view text) {
    if (text.size() > 1 && text[0] == '0') {
        const char kind = char(text[1] | 0x20);
        if (kind == 'x') return read_based(text, 16);
        if (kind == 'o') return read_based(text, 8);
        if (kind == 'b') return read_based(text, 2);
    }
    PythonNumber number;
    std::size_t at = 0;
    std::string whole = read_digits(text, at, 10, false), all = whole;
    if (at < text.size() && text[at] == '.') {
        ++at;
        const std::string fraction = read_digits(text, at, 10, false);
        if (whole.empty() && fraction.empty()) return std::nullopt;
        all += '.' + fraction;
        number.kind = PythonNumber::Kind::real;
    }
    if (at < text.size() && is_one_of(text[at], "eE")) {
        std::size_t after = at + 1;
        std::string exponent(after < text.size() && is_one_of(text[after], "+-") ? 1 : 0, '+');
        if (!exponent.empty()) exponent[0] = text[after++];
        const std::string digits = read_digits(text, after, 10, false);
        if (digits.empty()) return std::nullopt;
        all += 'e' + exponent + digits;
        at = after;
        number.kind = PythonNumber::Kind::real;
    }
    if (at < text.size() && is_one_of(text[at], "jJ")) {
        ++at;
        number.kind = PythonNumber::Kind::imaginary;
    }
    number.length = at;
    number.digits = whole;
    if (number.kind != PythonNumber::Kind::integer) {
        number.real = std::strtod(all.c_str(), nullptr);
        return number;
    }
    const bool zeros = whole.find_first_not_of('0') == std::string::npos;
    if (whole.size() > 1 && whole[0] == '0' && !zeros) return std::nullopt; // 010
    return number;
}

std::optional<PythonString> read_python_string(string_view text) {
    const Prefix prefix = read_prefix(text);
    if (!prefix.valid || prefix.length >= text.size()) return std::nullopt;
    std::size_t at = prefix.length;
    const char quote = text[at];
    if (quote != '\'' && quote != '"') return std::nullopt;
    const bool triple = text.substr(at, 3) == std::string(3, quote);
    const std::string closing(triple ? 3 : 1, quote);
    at += closing.size();
    PythonString found;
    found.is_bytes = prefix.bytes;
    while (text.substr(std::min(at, text.size()), closing.size()) != closing) {
        if (at >= text.size() || (text[at] == '\n' && !triple)) return std::nullopt;
        if (prefix.bytes && static_cast<unsigned char>(text[at]) >= 0x80) return std::nullopt;
        if (text[at] != '\\') {
            found.content += text[at++];
        } else if (!prefix.raw) {
            if (!read_escape(text, at, prefix.bytes, found.content)) return std::nullopt;
        } else {
            found.content += text.substr(at, 2);
            at += 2;
        }
    }
    found.length = at + closing.size();
    return found;
}

std::string python_repr(double number) {
    if (std::isnan(number)) return "nan";
    if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
    std::array<char, 64> buffer{};
    auto* end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific).ptr;
    std::string text(buffer.data(), end);
    const int exponent = std::atoi(text.c_str() + text.find('e') + 1);
    constexpr int kFewest = -4, kMost = 16; // between them Python writes no exponent
    if (exponent < kFewest || exponent >= kMost) return text;
    end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed).ptr;
    std::string fixed(buffer.data(), end);
    return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
}

std::string python_repr(string_view text) {
    const char quote = quote_for(text);
    std::string shown(1, quote);
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint next = decode(text.substr(at));
        const std::size_t length = std::max<std::size_t>(next.length, 1);
        shown += is_plain(next.value, quote) ? std::string(text.substr(at, length)) : escaped(next.value, quote);
        at += length;
    }
    return shown + quote;
}

std::string python_bytes_repr(string_view bytes) {
    const char quote = quote_for(bytes);
    std::string shown = std::string("b") + quote;
    for (char c : bytes) {
        const auto code = static_cast<unsigned char>(c);
        shown += is_plain(code, quote) && code < 0x7F ? std::string(1, c) : escaped(code, quote);
    }
    return shown + quote;
}

} // namespace poster
