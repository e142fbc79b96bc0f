#include <catch2/catch.hpp>

#include <fcntl.h>

#include "files.hpp"
#include "sha256.hpp"

using namespace poster;

TEST_CASE("the hash agrees with the vectors of FIPS 180-4") {
    auto [text, hex] = GENERATE(table<std::string, std::string>({
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    }));
    CHECK(sha256_hex(text) == hex);
}

TEST_CASE("the hash does not depend on how the bytes arrive") {
    const std::string text(300, 'x');
    for (std::size_t length = 0; length <= text.size(); ++length) {
        Sha256 pieces;
        for (std::size_t i = 0; i < length; i += 7)
            pieces.update(std::string_view{text}.substr(i, std::min<std::size_t>(7, length - i)));
        REQUIRE(pieces.hex() == sha256_hex(std::string_view{text}.substr(0, length)));
    }
}

TEST_CASE("the hash of a file is that of its content") {
    CHECK(sha256_of_file("/proc/version") == sha256_hex(*read_file("/proc/version")));
    CHECK_FALSE(sha256_of_file("/none/of/these"));
}

TEST_CASE("the processor's instructions give the same as the portable code") {
    std::string bytes;
    for (unsigned i = 0; i < 64 * 9; ++i) bytes += char(i * 167 + i / 7);
    const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
    for (std::size_t count = 0; count <= 8; ++count) {
        for (const std::size_t skew : {0, 1, 7}) {
            detail::Sha256State one{1, 0x80000000, 3, 4, 0xffffffff, 6, 7, 8}, other = one;
            detail::sha256_blocks_portable(one, data + skew, count);
            if (!detail::sha256_blocks_by_instructions(other, data + skew, count)) return; // it has none
            REQUIRE(one == other);
        }
    }
}

TEST_CASE("two hashes of the same bytes are those of each alone") {
    const std::string text(1000, 'x');
    for (const std::size_t before : {0, 64, 128, 5}) {
        for (const std::size_t length : {0, 1, 63, 64, 65, 640, 700}) {
            Sha256 one, other;
            one.update(std::string_view{text}.substr(0, before));
            Sha256::update_both(one, other, std::string_view{text}.substr(0, length));
            CHECK(one.hex() == sha256_hex(std::string_view{text}.substr(0, before + length)));
            CHECK(other.hex() == sha256_hex(std::string_view{text}.substr(0, length)));
        }
    }
}

TEST_CASE("the authentication code agrees with the vectors of RFC 4231") {
    auto [key, text, code] = GENERATE(table<std::string, std::string, std::string>({
        {std::string(20, '\x0b'), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    }));
    CHECK(hex(hmac_sha256(key, text)) == code);
}

TEST_CASE("the hash of a slice is that of its bytes, and there is none of bytes that are missing") {
    const Fd file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    std::string bytes(1'000'000, '\0');
    REQUIRE(::pread(file.get(), bytes.data(), bytes.size(), 3) == ssize_t(bytes.size()));
    CHECK(sha256_of_slice(file.get(), 3, bytes.size()) == sha256_hex(bytes));
    CHECK(sha256_of_slice(file.get(), 3, 0) == sha256_hex(""));
    CHECK_FALSE(sha256_of_slice(file.get(), 3, std::uint64_t(1) << 40).has_value());
}
