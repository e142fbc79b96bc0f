#pragma once
// MD5 (RFC 1321): what servers of S3 that know no better checksum call an object by. It proves that bytes arrived, not
// who made them.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace poster {

std::string md5_hex(std::string_view bytes); // 32 lower-case digits
// nullopt: unreadable, or shorter than that, or cancelled, which is asked often.
std::optional<std::string> md5_of_slice(int file, std::uint64_t offset, std::uint64_t length,
                                        const std::function<bool()>& cancelled = {});

} // namespace poster
