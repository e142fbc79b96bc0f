#include <catch2/catch.hpp>

#include "base64.hpp"

using namespace poster;

TEST_CASE("base 64 agrees with the vectors of RFC 4648 and comes back") {
    auto [bytes, text] = GENERATE(table<std::string, std::string>({
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {std::string("\0\xff\xfb", 3), "AP/7"},
    }));
    CHECK(to_base64(bytes) == text);
    CHECK(from_base64(text) == bytes);
    CHECK_FALSE(from_base64(text + "x").has_value());
    CHECK_FALSE(from_base64("a!==").has_value());
}
