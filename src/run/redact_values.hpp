#pragma once
// Secrets in typed values: what a configuration, an event or a result holds.

#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "redact.hpp"

namespace poster {

// `value` without the secrets in it. `name` is its own, "" for a record whose members have names; that of a nested
// value is "model.api_key". Under a secret name numbers are secret, too. What lies too deep is left out, so that the
// result can be copied and printed whatever a program has written.
nlohmann::json redacted_values(const Redactor& redactor, std::string_view name, const nlohmann::json& value);
// Words of a command line, in an array.
nlohmann::json redacted_words(const Redactor& redactor, const nlohmann::json& words);

} // namespace poster
