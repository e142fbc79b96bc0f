#include "value.hpp"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "metric_totals.hpp"

namespace poster {

using nlohmann::json;

json json_of(const Value& value) {
    if (const auto* flag = std::get_if<bool>(&value)) return *flag;
    if (const auto* number = std::get_if<double>(&value)) {
        if (std::trunc(*number) == *number && std::abs(*number) < kExactBelow) return std::int64_t(*number);
        return json_of_number(*number);
    }
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    return nullptr;
}

std::string text_of(const Value& value) {
    if (std::holds_alternative<std::monostate>(value)) return {};
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* number = std::get_if<double>(&value); number && std::trunc(*number) != *number)
        return fmt::format("{:.6g}", *number);
    const json whole = json_of(value);
    return whole.is_string() ? whole.get<std::string>() : whole.dump();
}

} // namespace poster
