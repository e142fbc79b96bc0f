#include "md5.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "sha256.hpp"

namespace poster {

namespace {

constexpr std::size_t kBlock = 64;
constexpr std::size_t kChunk = 256 << 10; // a multiple of it
constexpr std::array kShifts{7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};

// The sines of 1 to 64, as the standard has them.
const std::array<std::uint32_t, 64>& sines() {
    static const auto table = [] {
        std::array<std::uint32_t, 64> values{};
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = std::uint32_t(std::int64_t(std::fabs(std::sin(double(i + 1))) * 4294967296.0));
        return values;
    }();
    return table;
}

class Md5 {
public:
    // Whole blocks.
    void take(std::string_view blocks) {
        for (total_ += blocks.size(); !blocks.empty(); blocks.remove_prefix(kBlock))
            take_block(blocks.substr(0, kBlock));
    }

    // What is left, less than a block or many.
    std::string end(std::string_view rest) {
        const std::uint64_t bits = (total_ + rest.size()) * 8;
        std::string tail{rest};
        tail += char(0x80);
        while (tail.size() % kBlock != kBlock - 8) tail += '\0';
        for (int i = 0; i < 8; ++i) tail += char(bits >> (8 * i));
        take(tail);
        std::string bytes;
        for (const std::uint32_t word : state_)
            for (int i = 0; i < 4; ++i) bytes += char(word >> (8 * i));
        return hex(bytes);
    }

private:
    void take_block(std::string_view block) {
        std::array<std::uint32_t, 16> words{};
        for (std::size_t i = 0; i < kBlock; ++i)
            words[i / 4] |= std::uint32_t(static_cast<unsigned char>(block[i])) << (8 * (i % 4));
        const auto& sine = sines();
        auto [a, b, c, d] = state_;
        for (std::uint32_t i = 0; i < 64; ++i) {
            std::uint32_t mixed = 0, word = 0;
            if (i < 16) {
                mixed = (b & c) | (~b & d);
                word = i;
            } else if (i < 32) {
                mixed = (d & b) | (~d & c);
                word = (5 * i + 1) % 16;
            } else if (i < 48) {
                mixed = b ^ c ^ d;
                word = (3 * i + 5) % 16;
            } else {
                mixed = c ^ (b | ~d);
                word = (7 * i) % 16;
            }
            const std::uint32_t turned = std::rotl(a + mixed + sine[i] + words[word], kShifts[i / 16 * 4 + i % 4]);
            a = d;
            d = c;
            c = b;
            b += turned;
        }
        state_[0] += a;
        state_[1] += b;
        state_[2] += c;
        state_[3] += d;
    }

    std::array<std::uint32_t, 4> state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    std::uint64_t total_ = 0;
};

} // namespace

std::string md5_hex(std::string_view bytes) {
    Md5 hash;
    const std::size_t whole = bytes.size() / kBlock * kBlock;
    hash.take(bytes.substr(0, whole));
    return hash.end(bytes.substr(whole));
}

std::optional<std::string> md5_of_slice(int file, std::uint64_t offset, std::uint64_t length,
                                        const std::function<bool()>& cancelled) {
    Md5 hash;
    std::string chunk(std::min<std::uint64_t>(length, kChunk), '\0');
    for (;;) {
        std::size_t filled = 0;
        while (filled < chunk.size() && length > 0) {
            const ssize_t got = ::pread(file, chunk.data() + filled,
                                        std::min<std::uint64_t>(chunk.size() - filled, length), off_t(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0 || (cancelled && cancelled())) return std::nullopt;
            filled += std::size_t(got);
            offset += std::uint64_t(got);
            length -= std::uint64_t(got);
        }
        if (length == 0) {
            const std::size_t whole = filled / kBlock * kBlock;
            const std::string_view last{chunk.data(), filled};
            hash.take(last.substr(0, whole));
            return hash.end(last.substr(whole));
        }
        hash.take(chunk);
    }
}

} // namespace poster
