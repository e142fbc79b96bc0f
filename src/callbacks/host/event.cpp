#include <poster/event.hpp>

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <records.hpp>

namespace poster {

using nlohmann::json;

namespace {

// Whoever copied or printed a line of brackets only would need more stack than a thread has.
bool is_too_deep(std::string_view line) {
    constexpr int kDeepest = 200;
    int depth = 0, deepest = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quoted && c == '\\')
            ++i;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            deepest = std::max(deepest, ++depth);
        else if (!quoted && (c == '}' || c == ']'))
            --depth;
    }
    return deepest > kDeepest;
}

} // namespace

std::optional<std::string_view> Event::kind_at_front(std::string_view line) {
    constexpr std::string_view kBeginning = "{\"kind\":\"";
    if (!line.starts_with(kBeginning)) return std::nullopt;
    const auto kind = line.substr(kBeginning.size());
    const auto end = kind.find_first_of("\"\\");
    return end != std::string_view::npos && kind[end] == '"' ? std::optional(kind.substr(0, end)) : std::nullopt;
}

Event::Event(std::string_view line, std::string_view writer) : line_(line), writer_(writer) {
    if (const auto kind = kind_at_front(line))
        kind_ = *kind;
    else
        kind_ = text_of(data(), "kind");
}

const json& Event::data() const {
    if (!data_) {
        json parsed = is_too_deep(line_) ? json() : json::parse(line_, nullptr, false);
        data_ = std::make_shared<json>(parsed.is_object() ? std::move(parsed) : json::object());
    }
    return *data_;
}

WallTime Event::time() const {
    if (const auto seconds = number_of(data(), "time"); seconds && std::isfinite(*seconds))
        return WallTime{Milliseconds{std::llround(*seconds * 1000)}};
    return parse_iso8601(text_of(data(), "time")).value_or(wall_now());
}

} // namespace poster
