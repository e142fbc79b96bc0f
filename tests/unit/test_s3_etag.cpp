// What a server says of an object's parts, compared with the file here.

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <base64.hpp>
#include <s3_etag.hpp>

#include "remote_fixture.hpp"

using namespace poster;

namespace {

constexpr std::uint64_t kPart = 1 << 20;

std::string bytes_of(Sha256 hash) {
    const auto digest = hash.digest();
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// A file of three parts, the last one smaller, and what a server says of it.
struct InParts {
    TemporaryDirectory folder;
    std::string content;
    Fd file;
    S3Slice whole;
    std::string checksum;

    InParts() {
        for (std::uint64_t i = 0; content.size() < 2 * kPart + 1000; ++i) content += std::to_string(i);
        replace_file(folder.path() / "file", content);
        file = Fd{::open((folder.path() / "file").c_str(), O_RDONLY | O_CLOEXEC)};
        whole = {file.get(), 0, content.size(), sha256_hex(content), {}};
        Sha256 hashes;
        for (std::size_t at = 0; at < content.size(); at += kPart) {
            Sha256 part;
            part.update(std::string_view{content}.substr(at, kPart));
            hashes.update(bytes_of(part));
        }
        checksum = to_base64(bytes_of(hashes)) + "-3";
    }
    bool same(const std::function<bool()>& cancelled = {}) const {
        return checksum_is_of_parts(checksum, whole, kPart, cancelled);
    }
};

} // namespace

TEST_CASE("the checksum of an object's parts tells whether its bytes are the file's") {
    InParts file;
    CHECK(file.same());
    file.whole.sha256 = sha256_hex("of what the file was before");
    CHECK_FALSE(file.same());
    file.whole.sha256 = sha256_hex(file.content);
    file.checksum.front() = file.checksum.front() == 'A' ? 'B' : 'A';
    CHECK_FALSE(file.same());
}

TEST_CASE("a file that is compared with an object's parts is read once, and left when that is called off") {
    const InParts file;
    std::uint64_t asked = 0;
    CHECK(file.same([&] { return ++asked == 0; }));
    CHECK(asked >= 3);
    CHECK(asked <= file.content.size() / (128 << 10)); // it is asked at each block
    const std::uint64_t last = asked;
    asked = 0;
    CHECK_FALSE(file.same([&] { return ++asked == last; }));
    CHECK(asked == last);
}
