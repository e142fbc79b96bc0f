#pragma once
// SHA-256 (FIPS 180-4) for content addresses, and HMAC (RFC 2104) with it for signatures. Where the processor has
// instructions for it, they are used.

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace poster {

class Sha256 {
public:
    Sha256();
    void update(std::string_view bytes);
    // The same bytes to both: hardly slower than to one where the processor has instructions for it.
    static void update_both(Sha256& one, Sha256& other, std::string_view bytes);
    std::array<unsigned char, 32> digest(); // ends the hash
    std::string hex();                      // ends the hash; 64 lower-case digits

private:
    std::array<std::uint32_t, 8> state_;
    std::array<unsigned char, 64> buffer_{};
    std::size_t buffered_ = 0;
    std::uint64_t total_ = 0;
};

std::string sha256_hex(std::string_view bytes);
std::string hex(std::string_view bytes);                              // lower-case digits
std::string hmac_sha256(std::string_view key, std::string_view text); // 32 bytes
// nullopt: unreadable, or shorter than that, or cancelled, which is asked often.
std::optional<std::string> sha256_of_slice(int file, std::uint64_t offset, std::uint64_t length,
                                           const std::function<bool()>& cancelled = {});

namespace detail {
using Sha256State = std::array<std::uint32_t, 8>;
void sha256_blocks_portable(Sha256State& state, const unsigned char* data, std::size_t count);
// With the processor's instructions; false, and nothing is done, where it has none.
bool sha256_blocks_by_instructions(Sha256State& state, const unsigned char* data, std::size_t count);
bool sha256_blocks_of_both(Sha256State& one, Sha256State& other, const unsigned char* data, std::size_t count);
} // namespace detail

std::optional<std::string> sha256_of_file(const std::filesystem::path& path); // nullopt: unreadable

} // namespace poster
