#include "crc32.hpp"

#include <array>
#include <cstddef>

namespace poster {

namespace {

using Table = std::array<std::uint32_t, 256>;

constexpr Table table_of(std::uint32_t reversed_polynomial) {
    Table table{};
    for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1U) ^ ((rest & 1U) != 0 ? reversed_polynomial : 0U);
        table[byte] = rest;
    }
    return table;
}

constexpr Table kIeee = table_of(0xEDB88320U);
constexpr Table kCastagnoli = table_of(0x82F63B78U);

std::uint32_t check(const Table& table, std::string_view bytes, std::uint32_t before) {
    std::uint32_t rest = ~before;
    for (const char byte : bytes) rest = table[(rest ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ (rest >> 8U);
    return ~rest;
}

} // namespace

std::uint32_t crc32(std::string_view bytes, std::uint32_t before) {
    return check(kIeee, bytes, before);
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t before) {
    return check(kCastagnoli, bytes, before);
}

} // namespace poster
