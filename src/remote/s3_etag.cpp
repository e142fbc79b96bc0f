#include "s3_etag.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <md5.hpp>
#include <sha256.hpp>

#include "base64.hpp"
#include "s3_call.hpp"

namespace poster {

namespace {

std::string unquoted(const std::string& etag) {
    const bool quoted = etag.size() >= 2 && etag.front() == '"' && etag.back() == '"';
    return quoted ? etag.substr(1, etag.size() - 2) : etag;
}

bool looks_like_md5(const std::string& text) {
    return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool unchanged(const S3Slice& slice) {
    return sha256_of_slice(slice.file, slice.offset, slice.bytes) == slice.sha256;
}

// "-7"
std::string ending_of(std::uint64_t bytes, std::uint64_t part_bytes) {
    return fmt::format("-{}", (bytes + part_bytes - 1) / part_bytes);
}

// The hashes of a file's parts in a row. `hash_of(file, offset, bytes)`: hexadecimal; nullopt if it cannot be read.
template <typename HashOf>
std::optional<std::string> hashes_of_parts(const S3Slice& whole, std::uint64_t part_bytes, const HashOf& hash_of) {
    std::string hashes;
    for (std::uint64_t at = 0; at < whole.bytes; at += part_bytes) {
        const auto part = hash_of(whole.file, whole.offset + at, std::min(part_bytes, whole.bytes - at));
        if (!part) return std::nullopt;
        hashes += bytes_of_hex(*part);
    }
    return hashes;
}

} // namespace

bool etag_is_of(const std::string& etag, const S3Slice& slice) {
    const std::string name = unquoted(etag);
    return looks_like_md5(name) && md5_of_slice(slice.file, slice.offset, slice.bytes) == name && unchanged(slice);
}

bool etag_is_of_parts(const std::string& etag, const S3Slice& whole, std::uint64_t part_bytes) {
    const std::string name = unquoted(etag);
    const std::string ending = ending_of(whole.bytes, part_bytes);
    if (!name.ends_with(ending) || !looks_like_md5(name.substr(0, name.size() - ending.size()))) return false;
    const auto hashes = hashes_of_parts(whole, part_bytes, md5_of_slice);
    return hashes && md5_hex(*hashes) + ending == name && unchanged(whole);
}

bool checksum_is_of_parts(const std::string& checksum, const S3Slice& whole, std::uint64_t part_bytes) {
    const std::string ending = ending_of(whole.bytes, part_bytes);
    if (!checksum.ends_with(ending)) return false;
    const auto hashes = hashes_of_parts(whole, part_bytes, [](int file, std::uint64_t offset, std::uint64_t bytes) {
        return sha256_of_slice(file, offset, bytes);
    });
    return hashes && to_base64(bytes_of_hex(sha256_hex(*hashes))) + ending == checksum && unchanged(whole);
}

} // namespace poster
