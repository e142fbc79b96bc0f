#pragma once
// SHA-256 (FIPS 180-4), for content addresses.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace poster {

class Sha256 {
public:
    Sha256();
    void update(std::string_view bytes);
    std::string hex(); // ends the hash; 64 lower-case digits

private:
    void block(const unsigned char* data);
    std::array<std::uint32_t, 8> state_;
    std::array<unsigned char, 64> buffer_{};
    std::size_t buffered_ = 0;
    std::uint64_t total_ = 0;
};

std::string sha256_hex(std::string_view bytes);
std::optional<std::string> sha256_of_file(const std::filesystem::path& path); // nullopt: unreadable

} // namespace poster
