#pragma once
// A value that runs are asked for: of their config, their metrics, their summary.

#include <string>
#include <variant>

#include <nlohmann/json_fwd.hpp>

namespace poster {

using Value = std::variant<std::monostate, bool, double, std::string>; // the first: null

inline constexpr double kExactBelow = 9007199254740992.0; // whole numbers beyond lose digits in a double

nlohmann::json json_of(const Value& value);
std::string text_of(const Value& value); // for people; null is empty

} // namespace poster
