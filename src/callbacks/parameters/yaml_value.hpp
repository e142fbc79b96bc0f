#pragma once
// YAML as OmegaConf writes it, to JSON.

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace poster {

// Plain scalars are null, booleans, integers and floats as YAML 1.1 and OmegaConf have them, the rest strings; infinity
// and NaN are the strings of docs/events.md. nullopt: no YAML, or far too much of it.
std::optional<nlohmann::json> parse_yaml(const std::string& text);

} // namespace poster
