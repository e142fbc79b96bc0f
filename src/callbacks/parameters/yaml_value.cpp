#include "yaml_value.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include <text.hpp>

#include "python_text.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr int kDeepest = 60;
constexpr std::size_t kMostNodes = 200'000; // aliases multiply

// The same word in lower case, as a title or in capitals.
bool is_word(const std::string& word, const std::string& lower) {
    std::string title = lower, capitals = lower;
    const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; };
    std::transform(lower.begin(), lower.end(), capitals.begin(), upper);
    title.front() = upper(title.front());
    return word == lower || word == title || word == capitals;
}

std::optional<json> number_of(const std::string& word) {
    const bool negative = word.front() == '-';
    const std::string bare = word.substr(negative || word.front() == '+' ? 1 : 0);
    if (is_word(bare, ".inf")) return negative ? "-Infinity" : "Infinity";
    if (is_word(word, ".nan")) return "NaN";
    const auto number = bare.empty() ? std::nullopt : read_python_number(bare);
    if (!number || number->length != bare.size() || number->kind == PythonNumber::Kind::imaginary) return std::nullopt;
    if (number->kind == PythonNumber::Kind::real) {
        const double real = negative ? -number->real : number->real;
        if (!std::isfinite(real)) return real > 0 ? "Infinity" : "-Infinity";
        return real;
    }
    if (number->base != 10) return std::nullopt;
    if (negative) {
        std::int64_t whole = 0;
        const std::string digits = '-' + number->digits;
        auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
        return error == std::errc{} ? json(whole) : json(std::strtod(digits.c_str(), nullptr));
    }
    std::uint64_t whole = 0;
    auto [end, error] = std::from_chars(number->digits.data(), number->digits.data() + number->digits.size(), whole);
    return error == std::errc{} ? json(whole) : json(std::strtod(number->digits.c_str(), nullptr));
}

json scalar_of(const YAML::Node& node) {
    const std::string& word = node.Scalar();
    if (node.Tag() == "!") return valid_utf8(word); // quoted
    if (word.empty() || word == "~" || is_word(word, "null")) return nullptr;
    for (const char* yes : {"true", "yes", "on"})
        if (is_word(word, yes)) return true;
    for (const char* no : {"false", "no", "off"})
        if (is_word(word, no)) return false;
    if (auto number = number_of(word)) return *number;
    return valid_utf8(word);
}

class Converter {
public:
    json convert(const YAML::Node& node, int depth) {
        if (depth > kDeepest || ++nodes_ > kMostNodes) throw YAML::Exception(node.Mark(), "too much");
        if (node.IsScalar()) return scalar_of(node);
        if (node.IsSequence()) {
            json list = json::array();
            for (const auto& element : node) list.push_back(convert(element, depth + 1));
            return list;
        }
        if (!node.IsMap()) return nullptr;
        json object = json::object();
        for (const auto& member : node)
            if (member.first.IsScalar()) object[valid_utf8(member.first.Scalar())] = convert(member.second, depth + 1);
        return object;
    }

private:
    std::size_t nodes_ = 0;
};

} // namespace

std::optional<json> parse_yaml(const std::string& text) {
    try {
        return Converter().convert(YAML::Load(text), 0);
    } catch (const YAML::Exception&) {
        return std::nullopt;
    }
}

} // namespace poster
