#pragma once
// Cyclic redundancy checks, as the files of other programs carry them.

#include <cstdint>
#include <string_view>

namespace poster {

// `before`: of the bytes that precede these.
std::uint32_t crc32(std::string_view bytes, std::uint32_t before = 0);  // zlib's, of PNG and gzip
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0); // Castagnoli's

} // namespace poster
