// MD5 against the test suite of RFC 1321, and of pieces of files.

#include <catch2/catch.hpp>

#include <sys/mman.h>

#include "error.hpp"
#include "fd.hpp"
#include "files.hpp"
#include "md5.hpp"

using namespace poster;

TEST_CASE("MD5 is that of the standard") {
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    }));
    CHECK(md5_hex(text) == expected);
}

TEST_CASE("MD5 of a slice of a file is that of its bytes, whatever their number") {
    const std::size_t length =
        GENERATE(values<std::size_t>({0, 1, 55, 56, 63, 64, 65, 262143, 262144, 262145, 900001}));
    std::string content;
    for (std::size_t i = 0; i < length + 9; ++i) content += char(i * 7 + i / 251);
    const Fd file{check_syscall("memfd", ::memfd_create("content", MFD_CLOEXEC))};
    write_all(file.get(), content);
    CHECK(md5_of_slice(file.get(), 5, length) == md5_hex(content.substr(5, length)));
    CHECK_FALSE(md5_of_slice(file.get(), 5, length + 100));
}
