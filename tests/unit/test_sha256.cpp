#include <catch2/catch.hpp>

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
