#include "fire_literal.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include <text.hpp>

#include "python_text.hpp"

namespace poster {

namespace {

using nlohmann::json;
using std::string_view;

struct NotALiteral : std::runtime_error {
    NotALiteral() : std::runtime_error("not a literal") {}
};

constexpr int kDeepest = 199;             // Python's own limit of nested brackets
constexpr std::size_t kMostDigits = 4300; // and of a decimal integer

constexpr std::array<string_view, 32> kKeywords{
    "and",      "as",     "assert",  "async", "await", "break",  "class", "continue", "def",  "del",  "elif",
    "else",     "except", "finally", "for",   "from",  "global", "if",    "import",   "in",   "is",   "lambda",
    "nonlocal", "not",    "or",      "pass",  "raise", "return", "try",   "while",    "with", "yield"};

struct Value {
    enum class Kind { constant, integer, real, complex, text, bytes, tuple, container };

    Kind kind = Kind::constant;
    json shown;       // as the record has it
    std::string repr; // as Python shows it
    double real = 0, imaginary = 0;
    bool is_signed = false, is_sum = false; // -3 and 1+2j: Python lets only some of them stand somewhere else
    bool is_hashable = true;

    bool is_number() const { return kind == Kind::integer || kind == Kind::real || kind == Kind::complex; }
};

Value constant(json shown, std::string repr) {
    Value value;
    value.shown = std::move(shown);
    value.repr = std::move(repr);
    return value;
}

json number_or_word(double real) {
    if (std::isinf(real)) return real > 0 ? "Infinity" : "-Infinity";
    return real;
}

Value real_value(double real) {
    Value value = constant(number_or_word(real), python_repr(real));
    value.kind = Value::Kind::real;
    value.real = real;
    return value;
}

Value complex_value(double real, double imaginary) {
    const auto part = [](double number) {
        std::string text = python_repr(number);
        return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
    };
    std::string repr = part(imaginary) + 'j';
    if (real != 0 || std::signbit(real)) repr = '(' + part(real) + (std::signbit(imaginary) ? "" : "+") + repr + ')';
    Value value = constant(repr, repr);
    value.kind = Value::Kind::complex;
    value.real = real;
    value.imaginary = imaginary;
    return value;
}

Value integer_value(const std::string& digits, int base, bool negative) {
    Value value;
    value.kind = Value::Kind::integer;
    std::uint64_t whole = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), whole, base);
    constexpr std::uint64_t kMostNegative = std::uint64_t{1} << 63;
    value.repr = (negative ? "-" : "") + std::to_string(whole);
    if (error != std::errc{} || (negative && whole > kMostNegative)) { // more than JSON's readers hold exactly
        double real = 0;
        if (base == 10)
            real = std::strtod(digits.c_str(), nullptr);
        else
            for (char c : digits) real = real * base + double(std::stoi(std::string(1, c), nullptr, base));
        value.real = negative ? -real : real;
        value.shown = number_or_word(value.real);
        if (base == 10) value.repr = (negative ? "-" : "") + digits;
        return value;
    }
    value.real = negative ? -double(whole) : double(whole);
    if (negative)
        value.shown = static_cast<std::int64_t>(~whole + 1);
    else
        value.shown = whole;
    return value;
}

class LiteralParser {
public:
    explicit LiteralParser(string_view text) : text_(text) {}

    json parse() {
        skip_empty_lines();
        if (peek() == ' ' || peek() == '\t') fail();
        Value value = parse_tuple_or_one('\0');
        skip_blanks();
        skip_empty_lines();
        if (!at_end() || value.is_sum) fail();
        return value.shown;
    }

private:
    [[noreturn]] static void fail() { throw NotALiteral(); }

    bool at_end() const { return at_ >= text_.size(); }
    char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
    bool take(char c) {
        if (at_end() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    void skip_comment() {
        while (!at_end() && peek() != '\n') ++at_;
    }

    // Within brackets a new line is a blank as well.
    void skip_blanks() {
        while (!at_end()) {
            const char c = peek();
            if (c == '#')
                skip_comment();
            else if (c == '\\' && peek(1) == '\n' && at_ + 2 < text_.size())
                at_ += 2;
            else if (c == ' ' || c == '\t' || c == '\f' || (depth_ > 0 && (c == '\n' || c == '\r')))
                ++at_;
            else
                return;
        }
    }

    void skip_empty_lines() {
        for (;;) {
            std::size_t end = at_;
            while (end < text_.size() && string_view(" \t\f\r").find(text_[end]) != string_view::npos) ++end;
            if (end < text_.size() && text_[end] == '#') end = std::min(text_.find('\n', end), text_.size());
            if (end < text_.size() && text_[end] != '\n') return; // a line of code: as it is indented
            if (end == text_.size() && at_ == 0) fail();          // nothing at all
            at_ = std::min(end + 1, text_.size());
            if (end == text_.size()) return;
        }
    }

    Value parse_tuple_or_one(char closing) {
        Value first = parse_element();
        skip_blanks();
        if (peek() != ',') return first;
        std::vector<Value> elements;
        elements.push_back(std::move(first));
        while (take(',')) {
            skip_blanks();
            if (at_end() || peek() == closing || (closing == '\0' && peek() == '\n')) break;
            elements.push_back(parse_element());
            skip_blanks();
        }
        return tuple_of(elements);
    }

    static Value tuple_of(const std::vector<Value>& elements) {
        Value tuple;
        tuple.kind = Value::Kind::tuple;
        tuple.shown = json::array();
        tuple.repr = "(";
        for (const auto& element : elements) {
            tuple.shown.push_back(element.shown);
            tuple.repr += (tuple.repr.size() > 1 ? ", " : "") + element.repr;
            tuple.is_hashable &= element.is_hashable;
        }
        tuple.repr += elements.size() == 1 ? ",)" : ")";
        return tuple;
    }

    Value parse_element() {
        Value left = parse_signed();
        skip_blanks();
        const char sign = peek();
        if (sign != '+' && sign != '-') return left;
        ++at_;
        const bool is_real = left.kind == Value::Kind::integer || left.kind == Value::Kind::real;
        skip_blanks();
        const Value right = parse_primary();
        skip_blanks();
        if (!is_real || left.is_sum || right.kind != Value::Kind::complex || right.is_signed || right.is_sum) fail();
        if (peek() == '+' || peek() == '-') fail();
        // Python adds complex numbers: 0.0 - 2j has a real part of its own.
        Value sum = sign == '+' ? complex_value(left.real + right.real, right.imaginary)
                                : complex_value(left.real - right.real, -right.imaginary);
        sum.is_sum = true;
        return sum;
    }

    Value parse_signed() {
        skip_blanks();
        const char sign = peek();
        if (sign != '+' && sign != '-') return parse_primary();
        ++at_;
        skip_blanks();
        Value operand = parse_primary();
        if (!operand.is_number() || operand.is_signed || operand.is_sum) fail();
        if (sign == '-') negate(operand);
        operand.is_signed = true;
        return operand;
    }

    static void negate(Value& value) {
        if (value.kind == Value::Kind::complex) {
            value = complex_value(-value.real, -value.imaginary);
        } else if (value.kind == Value::Kind::real) {
            value = real_value(-value.real);
        } else if (value.shown.is_number_unsigned() && value.shown.get<std::uint64_t>() <= std::uint64_t{1} << 63) {
            value = integer_value(value.repr, 10, true);
        } else {
            value.real = -value.real;
            value.repr.insert(0, "-");
            value.shown = number_or_word(value.real);
        }
    }

    Value parse_primary() {
        skip_blanks();
        const char c = peek();
        if (c == '(') return parse_parentheses();
        if (c == '[') return parse_list();
        if (c == '{') return parse_braces();
        if (c == '"' || c == '\'') return parse_strings();
        if (text_.substr(at_, 3) == "...") {
            at_ += 3;
            return constant("Ellipsis", "Ellipsis");
        }
        if ((c >= '0' && c <= '9') || c == '.') return parse_number();
        const std::size_t length = python_identifier_length(text_.substr(at_));
        if (length == 0) fail();
        const char after = peek(length);
        if (after == '"' || after == '\'') return parse_strings();
        return parse_name(length);
    }

    Value parse_name(std::size_t length) {
        const string_view name = text_.substr(at_, length);
        at_ += length;
        if (name == "True") return constant(true, "True");
        if (name == "False") return constant(false, "False");
        if (name == "None") return constant(nullptr, "None");
        if (std::find(kKeywords.begin(), kKeywords.end(), name) != kKeywords.end()) fail();
        return text_value(std::string(name));
    }

    static Value text_value(const std::string& text) {
        Value value = constant(valid_utf8(text), python_repr(string_view(text)));
        value.kind = Value::Kind::text;
        return value;
    }

    // ---- brackets

    void open() {
        ++at_;
        if (++depth_ > kDeepest) fail();
        skip_blanks();
    }
    void close(char closing) {
        skip_blanks();
        if (!take(closing)) fail();
        --depth_;
    }

    Value parse_parentheses() {
        open();
        Value inner = peek() == ')' ? tuple_of({}) : parse_tuple_or_one(')');
        close(')');
        return inner;
    }

    Value parse_list() {
        open();
        Value list;
        list.kind = Value::Kind::container;
        list.is_hashable = false;
        list.shown = json::array();
        while (peek() != ']') {
            list.shown.push_back(parse_element().shown);
            skip_blanks();
            if (!take(',')) break;
            skip_blanks();
        }
        close(']');
        return list;
    }

    Value parse_braces() {
        open();
        Value value;
        value.kind = Value::Kind::container;
        value.is_hashable = false;
        value.shown = json::object();
        if (peek() != '}') {
            Value first = hashable(parse_element());
            skip_blanks();
            if (peek() == ':')
                parse_dict(std::move(first), value.shown);
            else
                parse_set(std::move(first), value.shown);
        }
        close('}');
        return value;
    }

    static Value hashable(Value value) {
        if (!value.is_hashable) fail();
        return value;
    }

    static std::string key_of(const Value& key) {
        return key.kind == Value::Kind::text ? key.shown.get<std::string>() : key.repr;
    }

    void parse_dict(Value key, json& shown) {
        for (;;) {
            if (!take(':')) fail();
            skip_blanks();
            shown[key_of(key)] = parse_element().shown;
            skip_blanks();
            if (!take(',')) return;
            skip_blanks();
            if (peek() == '}') return;
            key = hashable(parse_element());
            skip_blanks();
        }
    }

    void parse_set(Value first, json& shown) {
        std::vector<Value> elements{std::move(first)};
        while (take(',')) {
            skip_blanks();
            if (peek() == '}') break;
            elements.push_back(hashable(parse_element()));
            skip_blanks();
        }
        shown = sorted_set(std::move(elements));
    }

    static json sorted_set(std::vector<Value> elements) {
        const auto all = [&](auto is) { return std::all_of(elements.begin(), elements.end(), is); };
        const bool numbers = all([](const Value& it) { return it.is_number() && it.kind != Value::Kind::complex; });
        const bool texts = all([](const Value& it) { return it.kind == Value::Kind::text; });
        std::stable_sort(elements.begin(), elements.end(), [&](const Value& a, const Value& b) {
            if (numbers) return a.real < b.real;
            return texts ? a.shown.get_ref<const std::string&>() < b.shown.get_ref<const std::string&>()
                         : a.repr < b.repr;
        });
        json shown = json::array();
        for (const auto& element : elements) {
            const bool again = !shown.empty() && shown.back() == element.shown;
            if (!again) shown.push_back(element.shown);
        }
        return shown;
    }

    // ---- strings

    Value parse_strings() {
        std::string all;
        std::optional<bool> bytes;
        for (;;) {
            const auto piece = read_python_string(text_.substr(at_));
            if (!piece || (bytes && *bytes != piece->is_bytes)) fail();
            bytes = piece->is_bytes;
            all += piece->content;
            at_ += piece->length;
            skip_blanks();
            const std::size_t prefix = python_identifier_length(text_.substr(at_));
            if (peek(prefix) != '"' && peek(prefix) != '\'') break;
        }
        if (!*bytes) return text_value(all);
        const std::string repr = python_bytes_repr(all);
        Value value = constant(repr, repr);
        value.kind = Value::Kind::bytes;
        return value;
    }

    // ---- numbers

    Value parse_number() {
        const auto number = read_python_number(text_.substr(at_));
        if (!number) fail();
        at_ += number->length;
        if (python_identifier_length(text_.substr(at_)) > 0 || peek() == '.') fail(); // 1a, 1.2.3
        if (number->kind == PythonNumber::Kind::imaginary) return complex_value(0, number->real);
        if (number->kind == PythonNumber::Kind::real) return real_value(number->real);
        if (number->base == 10 && number->digits.size() > kMostDigits) fail();
        return integer_value(number->digits, number->base, false);
    }

    string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

// ---- the words of a command line

bool is_flag(const std::string& word) {
    const bool letter = word.size() > 1 && ((word[1] >= 'a' && word[1] <= 'z') || (word[1] >= 'A' && word[1] <= 'Z'));
    return word.starts_with("--") || (word.starts_with('-') && letter);
}

std::string separator_in(const std::vector<std::string>& flags) {
    for (std::size_t i = 0; i < flags.size(); ++i) {
        if (flags[i].starts_with("--separator=")) return flags[i].substr(12);
        if (flags[i] == "--separator" && i + 1 < flags.size()) return flags[i + 1];
    }
    return "-";
}

} // namespace

json fire_literal(string_view word) {
    try {
        return LiteralParser(word).parse();
    } catch (const NotALiteral&) {
        return valid_utf8(word);
    }
}

json config_from_fire_words(const std::vector<std::string>& words,
                            const std::set<std::string, std::less<>>& parameters) {
    const auto last = std::find(words.rbegin(), words.rend(), "--");
    const auto end = last == words.rend() ? words.end() : std::prev(last.base());
    const std::string separator = last == words.rend() ? "-" : separator_in({last.base(), words.end()});
    json values = json::object(), positionals = json::array();
    for (auto word = words.begin(); word != end; ++word) {
        if (*word == separator) continue;
        if (!is_flag(*word)) {
            positionals.push_back(fire_literal(*word));
            continue;
        }
        const std::string bare = word->substr(std::min(word->find_first_not_of('-'), word->size()));
        const auto equals = bare.find('=');
        std::string key = bare.substr(0, equals);
        std::replace(key.begin(), key.end(), '-', '_');
        const auto next = std::next(word);
        if (key.size() == 1) { // a letter stands for the one parameter that begins with it
            const auto begins = [&](const std::string& name) { return name.starts_with(key); };
            const auto found = std::find_if(parameters.begin(), parameters.end(), begins);
            const bool one = std::count_if(parameters.begin(), parameters.end(), begins) == 1;
            if (one && !parameters.contains(key)) key = *found;
        }
        if (equals != std::string::npos) {
            values[key] = fire_literal(bare.substr(equals + 1));
        } else if (next == end || is_flag(*next) || *next == separator) {
            const bool off = key.starts_with("no") && !parameters.contains(key) && parameters.contains(key.substr(2));
            values[off ? key.substr(2) : key] = !off;
        } else {
            values[key] = fire_literal(*next);
            word = next;
        }
    }
    return {{"source", "argv-fire"},
            {"rung", "argv"},
            {"values", values},
            {"positionals", positionals},
            {"overrides", json::array()}};
}

} // namespace poster
