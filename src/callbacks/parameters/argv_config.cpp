#include "argv_config.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include <nlohmann/json.hpp>

#include <characters.hpp>

#include "command_words.hpp"

namespace poster {

namespace {

using nlohmann::json;

template <typename Number>
std::optional<Number> parse(std::string_view word) {
    Number value{};
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
    return value;
}

bool is_number(std::string_view word) {
    if (word.starts_with('+')) word.remove_prefix(1);
    return parse<double>(word).has_value();
}

void put(json& values, const std::string& name, json value) {
    if (!values.contains(name)) {
        values[name] = std::move(value);
        return;
    }
    json& present = values[name];
    if (!present.is_array()) present = json::array({present});
    present.push_back(std::move(value));
}

bool is_assignment(const std::string& word) {
    auto equals = word.find('=');
    auto start = word.find_first_not_of('+');
    if (equals == std::string::npos || start >= equals || start > 2) return false;
    for (std::size_t i = start; i < equals; ++i) {
        char c = word[i];
        bool fine = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                    std::string_view("_.-/@:").find(c) != std::string_view::npos;
        if (!fine) return false;
    }
    return true;
}

class Parser {
public:
    explicit Parser(const std::vector<std::string>& argv) : argv_(argv) {}

    json parse() {
        for (at_ = find_own_words(argv_).first_own; at_ < argv_.size(); ++at_) take(argv_[at_]);
        return {{"source", "argv-guess"},
                {"rung", "argv"},
                {"values", values_},
                {"positionals", positionals_},
                {"overrides", overrides_}};
    }

private:
    void take(const std::string& word) {
        bool option = !only_positionals_ && word.size() > 1 && word.front() == '-' && !is_number(word);
        if (word == "--" && !only_positionals_) {
            only_positionals_ = true;
        } else if (option && word.starts_with("--")) {
            take_long(word.substr(2));
        } else if (option) {
            take_short(word.substr(1));
        } else if (is_assignment(word)) {
            overrides_.push_back(word);
            auto start = word.find_first_not_of('+');
            auto equals = word.find('=');
            put(values_, word.substr(start, equals - start), typed_value(word.substr(equals + 1)));
        } else if (word.size() > 1 && word.front() == '~') {
            overrides_.push_back(word);
        } else {
            positionals_.push_back(typed_value(word));
        }
    }

    std::optional<std::string> value_that_follows() {
        if (at_ + 1 >= argv_.size()) return std::nullopt;
        const std::string& next = argv_[at_ + 1];
        bool option = next.size() > 1 && next.front() == '-' && !is_number(next);
        if (option || is_assignment(next)) return std::nullopt;
        ++at_;
        return next;
    }

    void take_long(const std::string& word) {
        auto equals = word.find('=');
        if (equals != std::string::npos)
            return put(values_, word.substr(0, equals), typed_value(word.substr(equals + 1)));
        auto value = value_that_follows();
        put(values_, word, value ? typed_value(*value) : json(true));
    }

    void take_short(const std::string& word) {
        bool repeated = word.find_first_not_of(word.front()) == std::string::npos;
        if (word.size() > 1 && repeated) return put(values_, word.substr(0, 1), word.size());
        take_long(word);
    }

    const std::vector<std::string>& argv_;
    std::size_t at_ = 0;
    bool only_positionals_ = false;
    json values_ = json::object(), positionals_ = json::array(), overrides_ = json::array();
};

} // namespace

json typed_value(const std::string& text) {
    std::string_view digits = text;
    if (digits.starts_with('+')) digits.remove_prefix(1);
    std::string_view unsigned_digits = digits.substr(digits.starts_with('-') ? 1 : 0);
    bool leading_zero = unsigned_digits.size() > 1 && unsigned_digits[0] == '0' && is_digit(unsigned_digits[1]);
    if (!leading_zero && !unsigned_digits.empty()) {
        if (auto integer = parse<long long>(digits)) return *integer;
        if (auto integer = parse<unsigned long long>(digits)) return *integer;
        // More digits than an integer holds stay text: as a float they would be another number. So does -inf.
        bool only_digits = std::all_of(unsigned_digits.begin(), unsigned_digits.end(), is_digit);
        bool numeric = is_digit(unsigned_digits[0]) || unsigned_digits[0] == '.';
        auto real = numeric && !only_digits ? parse<double>(digits) : std::nullopt;
        if (real && std::isfinite(*real)) return *real;
    }
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (lower == "true") return true;
    if (lower == "false") return false;
    if (text == "null" || text == "None") return nullptr;
    return text;
}

json config_from_argv(const std::vector<std::string>& argv) {
    return Parser(argv).parse();
}

} // namespace poster
