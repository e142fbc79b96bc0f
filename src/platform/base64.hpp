#pragma once
// Base 64 (RFC 4648), in one line.

#include <optional>
#include <string>
#include <string_view>

namespace poster {

std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text); // nullopt: it is none

} // namespace poster
