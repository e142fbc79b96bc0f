#include "printed_tokens.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "characters.hpp"

namespace poster {

namespace {

using Kind = PrintedToken::Kind;

constexpr std::size_t kMostTokens = 2000;
constexpr std::size_t kLongestNumber = 40;
constexpr std::size_t kLongestWrapping = 200; // tensor(0.31, device='cuda:0', grad_fn=<NllLossBackward0>)

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_word(char c) {
    return is_letter(c) || is_digit(c);
}
bool is_foreign(char c) {
    return static_cast<unsigned char>(c) >= 0x80;
}
bool one_of(char c, std::string_view set) {
    return c != '\0' && set.find(c) != std::string_view::npos;
}
bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool same_word(std::string_view text, std::string_view lower) {
    return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
               return (a >= 'A' && a <= 'Z' ? char(a - 'A' + 'a') : a) == b;
           });
}

// nan, inf, infinity.
bool parse_bare(std::string_view text, double& value) {
    const bool nan = same_word(text, "nan");
    if (!nan && !same_word(text, "inf") && !same_word(text, "infinity")) return false;
    value = nan ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    return true;
}

// What libraries put around a number when they print it.
bool is_wrapping(std::string_view word) {
    for (std::string_view known : {"tensor", "Tensor", "tf.Tensor", "Array", "DeviceArray", "Decimal"})
        if (word == known) return true;
    for (std::string_view module : {"np.", "numpy.", "jnp.", "torch."})
        if (word.starts_with(module)) return true;
    return false;
}

class Lexer {
public:
    Lexer(std::string_view line, std::vector<PrintedToken>& tokens) : line_(line), tokens_(tokens) {}

    void read() {
        gap_ = spaced_ = true;
        while (tokens_.size() < kMostTokens && take_blanks()) {
            const char c = line_[at_];
            if (is_letter(c))
                take_word();
            else if (number_begins())
                take_number();
            else
                take_sign();
            gap_ = spaced_ = false;
        }
    }

private:
    char at(std::size_t i) const { return i < line_.size() ? line_[i] : '\0'; }

    bool take_blanks() {
        const std::size_t begin = at_;
        while (at_ < line_.size() && is_blank(line_[at_])) gap_ |= line_[at_++] == '\t';
        spaced_ |= at_ > begin;
        gap_ |= at_ > begin + 1;
        return at_ < line_.size();
    }

    PrintedToken& add(Kind kind, std::size_t end) {
        PrintedToken token;
        token.kind = kind;
        token.text = line_.substr(at_, end - at_);
        token.gap = gap_;
        token.spaced = spaced_;
        before_ = at_ > 0 ? line_[at_ - 1] : '\0';
        at_ = end;
        return tokens_.emplace_back(token);
    }

    void take_junk() {
        std::size_t end = at_ + 1;
        while (end < line_.size() && !is_blank(line_[end]) && !one_of(line_[end], ",;|()[]{}\"")) ++end;
        add(Kind::junk, end);
    }

    void take_word() {
        std::size_t end = at_;
        while (end < line_.size()) {
            if (is_word(line_[end]) || (one_of(line_[end], "./@'-") && is_word(at(end + 1))))
                ++end;
            else
                break;
        }
        const std::string_view word = line_.substr(at_, end - at_);
        if (line_.substr(end).starts_with("://")) return take_junk();
        double value = 0;
        if (at(end) == '(' && is_wrapping(word) && take_wrapped(end + 1)) return;
        if (parse_bare(word, value) && ends_number(end)) {
            add(Kind::number, end).value = value;
            return;
        }
        const bool foreign = is_foreign(at(end)) || (at_ > 0 && is_foreign(line_[at_ - 1]));
        auto& token = add(foreign ? Kind::junk : Kind::word, end);
        token.begins = token.spaced || one_of(before_, "([{<>,;|'\":=*");
    }

    // A number within parentheses that end soon.
    bool take_wrapped(std::size_t begin) {
        std::size_t end = begin;
        double value = 0;
        bool integral = false;
        if (!scan_number(end, value, integral) || (at(end) != ',' && at(end) != ')')) return false;
        std::size_t depth = 1;
        const std::size_t limit = std::min(line_.size(), begin + kLongestWrapping);
        while (end < limit && depth > 0) {
            depth += line_[end] == '(' ? 1 : 0;
            depth -= line_[end++] == ')' ? 1 : 0;
        }
        if (depth > 0) return false;
        auto& token = add(Kind::number, end);
        token.value = value;
        token.integral = integral;
        return true;
    }

    bool number_begins() const {
        std::size_t i = at_;
        if (line_[i] == '-' || line_[i] == '+') {
            if (i > 0 && (is_word(line_[i - 1]) || line_[i - 1] == ')' || line_[i - 1] == '-')) return false;
            ++i;
            double value = 0;
            if (same_word(line_.substr(i, 3), "inf") || same_word(line_.substr(i, 3), "nan"))
                return parse_bare(line_.substr(i, word_length(i)), value);
        }
        return is_digit(at(i)) || (at(i) == '.' && is_digit(at(i + 1)));
    }

    std::size_t word_length(std::size_t begin) const {
        std::size_t end = begin;
        while (is_word(at(end))) ++end;
        return end - begin;
    }

    // Moves `end` behind the number that begins there.
    bool scan_number(std::size_t& end, double& value, bool& integral) const {
        const std::size_t begin = end;
        const bool minus = at(end) == '-';
        if (at(end) == '-' || at(end) == '+') ++end;
        if (is_letter(at(end))) {
            const std::size_t length = word_length(end);
            if (!parse_bare(line_.substr(end, length), value)) return false;
            end += length;
            if (minus) value = -value;
            return true;
        }
        const std::size_t digits = end;
        while (is_digit(at(end))) ++end;
        std::size_t count = end - digits;
        integral = true;
        if (at(end) == '.' && (is_digit(at(end + 1)) || (count > 0 && !is_word(at(end + 1)) && at(end + 1) != '.' &&
                                                         at(end + 1) != '\0' && !is_blank(at(end + 1))))) {
            integral = false;
            ++end;
            while (is_digit(at(end))) ++end, ++count;
        }
        if (count == 0 || end - begin > kLongestNumber) return false;
        if (at(end) == 'e' || at(end) == 'E') {
            std::size_t exponent = end + 1;
            if (at(exponent) == '-' || at(exponent) == '+') ++exponent;
            const std::size_t first = exponent;
            while (is_digit(at(exponent)) && exponent - first < 4) ++exponent;
            if (exponent > first) {
                end = exponent;
                integral = false;
            }
        }
        const std::size_t skip = at(begin) == '+' ? 1 : 0;
        const auto parsed = std::from_chars(line_.data() + begin + skip, line_.data() + end, value);
        return parsed.ec == std::errc{} && parsed.ptr == line_.data() + end;
    }

    // What may stand behind a value.
    bool ends_number(std::size_t end) const {
        const char c = at(end), next = at(end + 1);
        if (end >= line_.size() || is_blank(c) || is_foreign(c)) return true;
        if (one_of(c, ")]}|;>'\"(")) return true;
        if (c == ',') return !is_digit(next);
        if (c == ':' || c == '.' || c == '*') return end + 1 >= line_.size() || is_blank(next);
        return false;
    }

    void take_number() {
        std::size_t end = at_;
        double value = 0;
        bool integral = false;
        if (!scan_number(end, value, integral)) return take_junk();
        if (integral && at(end) == '/' && is_digit(at(end + 1))) return take_fraction(end + 1, value);
        if (integral && line_.substr(end).starts_with("it") && (at(end + 2) == ' ' || at(end + 2) == '\0')) {
            add(Kind::fraction, end + 2).value = value; // a bar of tqdm that knows no total
            return;
        }
        const bool percent = at(end) == '%';
        // 50%| begins a bar.
        if (percent ? at(end + 1) == '|' || !ends_number(end + 1) : !ends_number(end)) return take_junk();
        auto& token = add(Kind::number, percent ? end + 1 : end);
        token.value = value;
        token.integral = integral;
        token.percent = percent;
    }

    void take_fraction(std::size_t begin, double value) {
        std::size_t end = begin;
        double total = 0;
        bool integral = false;
        if (!scan_number(end, total, integral) || !integral || !ends_number(end)) return take_junk();
        auto& token = add(Kind::fraction, end);
        token.value = value;
        token.total = total;
    }

    void take_sign() {
        const char c = line_[at_];
        std::size_t end = at_ + 1;
        if (is_foreign(c)) {
            while (end < line_.size() && is_foreign(line_[end])) ++end;
        } else if (c == '[') {
            std::size_t bar = end;
            while (one_of(at(bar), "=>.-#~")) ++bar;
            if (bar >= end + 3 && at(bar) == ']') {
                add(Kind::sign, bar + 1).text = "#";
                return;
            }
        } else if (c == '=' || c == '-' || c == ':') { // ==, ---, :: and => are no separators
            while (one_of(at(end), "=->:") && !number_at(end)) ++end;
            if (end > at_ + 1) {
                add(Kind::sign, end).text = "~";
                return;
            }
        }
        add(Kind::sign, end);
    }

    // "=-0.3" and ":-1": the sign of a number.
    bool number_at(std::size_t i) const {
        return at(i) == '-' && (is_digit(at(i + 1)) || (at(i + 1) == '.' && is_digit(at(i + 2))) || at(i + 1) == 'i');
    }

    std::string_view line_;
    std::vector<PrintedToken>& tokens_;
    std::size_t at_ = 0;
    bool gap_ = false, spaced_ = false;
    char before_ = '\0';
};

} // namespace

void split_printed(std::string_view line, std::vector<PrintedToken>& tokens) {
    tokens.clear();
    Lexer(line, tokens).read();
}

bool parse_printed_number(std::string_view text, double& value) {
    std::vector<PrintedToken> tokens;
    split_printed(text, tokens);
    if (tokens.size() != 1 || tokens[0].kind != Kind::number || tokens[0].text.size() != text.size()) return false;
    value = tokens[0].value;
    return true;
}

} // namespace poster
