#include "numbers.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poster {

namespace {

constexpr std::size_t kLongest = 32; // of a number as text

template <typename Number>
void append_chars(std::string& out, Number value) {
    char text[kLongest];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    out.append(text, std::size_t(end - text));
}

} // namespace

void append_whole(std::string& out, std::int64_t value) {
    append_chars(out, value);
}

void append_number(std::string& out, double value) {
    if (std::isnan(value))
        out += "nan";
    else
        append_chars(out, value); // infinities: "inf", "-inf"
}

void append_json_number(std::string& out, double value) {
    if (std::isnan(value))
        out += "\"NaN\"";
    else if (std::isinf(value))
        out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    else
        append_chars(out, value);
}

void append_csv(std::string& out, std::string_view text) {
    if (text.find_first_of("\",\r\n") == std::string_view::npos) {
        out += text;
        return;
    }
    out += '"';
    for (char c : text) out.append(c == '"' ? 2 : 1, c);
    out += '"';
}

void append_json(std::string& out, std::string_view text) {
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
    });
    if (plain)
        out.append("\"").append(text).append("\"");
    else
        out += nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string short_number(double value) {
    return std::isnan(value) ? "nan" : fmt::format("{:.6g}", value);
}

} // namespace poster
