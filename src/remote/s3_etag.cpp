#include "s3_etag.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <md5.hpp>
#include <sha256.hpp>
#include <slice.hpp>

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

bool unchanged(const S3Slice& slice, const std::function<bool()>& cancelled) {
    return sha256_of_slice(slice.file, slice.offset, slice.bytes, cancelled) == slice.sha256;
}

// "-7"
std::string ending_of(std::uint64_t bytes, std::uint64_t part_bytes) {
    return fmt::format("-{}", (bytes + part_bytes - 1) / part_bytes);
}

} // namespace

bool etag_is_of(const std::string& etag, const S3Slice& slice, const std::function<bool()>& cancelled) {
    const std::string name = unquoted(etag);
    return looks_like_md5(name) && md5_of_slice(slice.file, slice.offset, slice.bytes, cancelled) == name &&
           unchanged(slice, cancelled);
}

bool etag_is_of_parts(const std::string& etag, const S3Slice& whole, std::uint64_t part_bytes,
                      const std::function<bool()>& cancelled) {
    const std::string name = unquoted(etag);
    const std::string ending = ending_of(whole.bytes, part_bytes);
    if (!name.ends_with(ending) || !looks_like_md5(name.substr(0, name.size() - ending.size()))) return false;
    std::string hashes;
    for (std::uint64_t at = 0; at < whole.bytes; at += part_bytes) {
        const auto part =
            md5_of_slice(whole.file, whole.offset + at, std::min(part_bytes, whole.bytes - at), cancelled);
        if (!part) return false;
        hashes += bytes_of_hex(*part);
    }
    return md5_hex(hashes) + ending == name && unchanged(whole, cancelled);
}

bool checksum_is_of_parts(const std::string& checksum, const S3Slice& whole, std::uint64_t part_bytes,
                          const std::function<bool()>& cancelled) {
    const std::string ending = ending_of(whole.bytes, part_bytes);
    if (!checksum.ends_with(ending)) return false;
    Sha256 content;
    std::string hashes;
    for (std::uint64_t at = 0; at < whole.bytes; at += part_bytes) {
        Sha256 part;
        const auto take = [&](std::string_view bytes) { Sha256::update_both(part, content, bytes); };
        const std::uint64_t bytes = std::min(part_bytes, whole.bytes - at);
        if (read_slice(whole.file, whole.offset + at, bytes, take, cancelled) != SliceRead::whole) return false;
        hashes += bytes_of_hex(part.hex());
    }
    return to_base64(bytes_of_hex(sha256_hex(hashes))) + ending == checksum && content.hex() == whole.sha256;
}

} // namespace poster
