#include "sha256.hpp"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "fd.hpp"
#include "slice.hpp"

namespace poster {

namespace {

constexpr std::array<std::uint32_t, 64> kRound{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::size_t kBlock = 64;

std::uint32_t big_endian(const unsigned char* bytes) {
    return std::uint32_t(bytes[0]) << 24 | std::uint32_t(bytes[1]) << 16 | std::uint32_t(bytes[2]) << 8 | bytes[3];
}

#if defined(__x86_64__)

bool look_for_instructions() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

__attribute__((target("sha,sse4.1,ssse3"))) inline __m128i load(const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

// Four rounds at a time; the words of the message schedule are kept four to a register. The instructions have to wait
// for each other's results: what is done for a second state meanwhile costs little.
template <std::size_t N>
__attribute__((target("sha,sse4.1,ssse3"))) void blocks_by_sha_ni(const std::array<detail::Sha256State*, N>& states,
                                                                  const unsigned char* data, std::size_t count) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef[N], cdgh[N]; // as the instructions want the state
    for (std::size_t n = 0; n < N; ++n) {
        const __m128i low = _mm_shuffle_epi32(load(states[n]->data()), 0xb1);
        const __m128i high = _mm_shuffle_epi32(load(states[n]->data() + 4), 0x1b);
        abef[n] = _mm_alignr_epi8(low, high, 8);
        cdgh[n] = _mm_blend_epi16(high, low, 0xf0);
    }
    for (; count > 0; --count, data += kBlock) {
        __m128i abef_before[N], cdgh_before[N], words[4];
        for (std::size_t n = 0; n < N; ++n) abef_before[n] = abef[n], cdgh_before[n] = cdgh[n];
        for (int i = 0; i < 4; ++i) words[i] = _mm_shuffle_epi8(load(data + std::ptrdiff_t{16} * i), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            __m128i& now = words[i % 4];
            if (i >= 4) {
                const __m128i last = words[(i + 3) % 4], before_last = words[(i + 2) % 4];
                now =
                    _mm_add_epi32(_mm_sha256msg1_epu32(now, words[(i + 1) % 4]), _mm_alignr_epi8(last, before_last, 4));
                now = _mm_sha256msg2_epu32(now, last);
            }
            const __m128i first = _mm_add_epi32(now, load(kRound.data() + std::size_t(4) * i));
            const __m128i second = _mm_shuffle_epi32(first, 0x0e);
            for (std::size_t n = 0; n < N; ++n) cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], first);
            for (std::size_t n = 0; n < N; ++n) abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], second);
        }
        for (std::size_t n = 0; n < N; ++n) {
            abef[n] = _mm_add_epi32(abef[n], abef_before[n]);
            cdgh[n] = _mm_add_epi32(cdgh[n], cdgh_before[n]);
        }
    }
    for (std::size_t n = 0; n < N; ++n) {
        const __m128i low = _mm_shuffle_epi32(abef[n], 0x1b), high = _mm_shuffle_epi32(cdgh[n], 0xb1);
        auto* to = reinterpret_cast<__m128i*>(states[n]->data());
        _mm_storeu_si128(to, _mm_blend_epi16(low, high, 0xf0));
        _mm_storeu_si128(to + 1, _mm_alignr_epi8(high, low, 8));
    }
}

// Asked for at the first hash, not at each start: a virtual machine takes its time to answer.
bool has_instructions() {
    static const bool found = look_for_instructions();
    return found;
}

#endif

void blocks(detail::Sha256State& state, const unsigned char* data, std::size_t count) {
    if (!detail::sha256_blocks_by_instructions(state, data, count)) {
        detail::sha256_blocks_portable(state, data, count);
    }
}

} // namespace

bool detail::sha256_blocks_by_instructions([[maybe_unused]] Sha256State& state,
                                           [[maybe_unused]] const unsigned char* data,
                                           [[maybe_unused]] std::size_t count) {
#if defined(__x86_64__)
    if (has_instructions()) blocks_by_sha_ni<1>({&state}, data, count);
    return has_instructions();
#else
    return false;
#endif
}

bool detail::sha256_blocks_of_both([[maybe_unused]] Sha256State& one, [[maybe_unused]] Sha256State& other,
                                   [[maybe_unused]] const unsigned char* data, [[maybe_unused]] std::size_t count) {
#if defined(__x86_64__)
    if (has_instructions()) blocks_by_sha_ni<2>({&one, &other}, data, count);
    return has_instructions();
#else
    return false;
#endif
}

Sha256::Sha256()
    : state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {}

void Sha256::update(std::string_view bytes) {
    total_ += bytes.size();
    if (buffered_ > 0) {
        const std::size_t taken = std::min(bytes.size(), kBlock - buffered_);
        std::memcpy(buffer_.data() + buffered_, bytes.data(), taken);
        buffered_ += taken;
        bytes.remove_prefix(taken);
        if (buffered_ < kBlock) return;
        blocks(state_, buffer_.data(), 1);
        buffered_ = 0;
    }
    blocks(state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size() / kBlock);
    bytes.remove_prefix(bytes.size() / kBlock * kBlock);
    if (!bytes.empty()) std::memcpy(buffer_.data(), bytes.data(), bytes.size());
    buffered_ = bytes.size();
}

void Sha256::update_both(Sha256& one, Sha256& other, std::string_view bytes) {
    const std::size_t count = bytes.size() / kBlock;
    if (one.buffered_ == 0 && other.buffered_ == 0 &&
        detail::sha256_blocks_of_both(one.state_, other.state_, reinterpret_cast<const unsigned char*>(bytes.data()),
                                      count)) {
        one.total_ += count * kBlock;
        other.total_ += count * kBlock;
        bytes.remove_prefix(count * kBlock);
    }
    one.update(bytes);
    other.update(bytes);
}

std::array<unsigned char, 32> Sha256::digest() {
    const std::uint64_t bits = total_ * 8;
    std::string padding(1, '\x80');
    padding.append((kBlock * 2 - 9 - buffered_) % kBlock, '\0');
    for (int shift = 56; shift >= 0; shift -= 8) padding += char(bits >> shift & 0xff);
    update(padding);
    std::array<unsigned char, 32> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = state_[i / 4] >> (24 - 8 * (i % 4)) & 0xff;
    return bytes;
}

std::string Sha256::hex() {
    const auto bytes = digest();
    return poster::hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

namespace {

void block(detail::Sha256State& state, const unsigned char* data) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i) w[i] = big_endian(data + 4 * i);
    for (std::size_t i = 16; i < 64; ++i) {
        const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
        const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
        const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
        const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
        const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const std::array<std::uint32_t, 8> mixed{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < state.size(); ++i) state[i] += mixed[i];
}

} // namespace

void detail::sha256_blocks_portable(Sha256State& state, const unsigned char* data, std::size_t count) {
    for (; count > 0; --count, data += kBlock) block(state, data);
}

std::string hex(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string digits;
    digits.reserve(bytes.size() * 2);
    for (const unsigned char byte : bytes) {
        digits += kDigits[byte >> 4];
        digits += kDigits[byte & 0xf];
    }
    return digits;
}

std::string sha256_hex(std::string_view bytes) {
    Sha256 hash;
    hash.update(bytes);
    return hash.hex();
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
    auto bytes_of = [](Sha256& hash) {
        const auto digest = hash.digest();
        return std::string{reinterpret_cast<const char*>(digest.data()), digest.size()};
    };
    std::string padded{key};
    if (key.size() > kBlock) {
        Sha256 shortened;
        shortened.update(key);
        padded = bytes_of(shortened);
    }
    padded.resize(kBlock, '\0');
    std::string inner = padded, outer = padded;
    for (char& c : inner) c = char(c ^ 0x36);
    for (char& c : outer) c = char(c ^ 0x5c);
    Sha256 of_text, of_both;
    of_text.update(inner);
    of_text.update(text);
    of_both.update(outer);
    of_both.update(bytes_of(of_text));
    return bytes_of(of_both);
}

std::optional<std::string> sha256_of_slice(int file, std::uint64_t offset, std::uint64_t length,
                                           const std::function<bool()>& cancelled) {
    Sha256 hash;
    const auto take = [&](std::string_view bytes) { hash.update(bytes); };
    if (read_slice(file, offset, length, take, cancelled) != SliceRead::whole) return {};
    return hash.hex();
}

std::optional<std::string> sha256_of_file(const std::filesystem::path& path) {
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) return {};
    Sha256 hash;
    std::string chunk(128 << 10, '\0');
    for (;;) {
        const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {};
        if (got == 0) return hash.hex();
        hash.update({chunk.data(), std::size_t(got)});
    }
}

} // namespace poster
