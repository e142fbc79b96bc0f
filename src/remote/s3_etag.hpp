#pragma once
// What a server says of an object's bytes. Its checksum: the SHA-256 of these, or of the SHA-256s of the parts. Where
// it knows none, its ETag: likewise of MD5s. Others make up theirs.

#include <cstdint>
#include <functional>
#include <string>

#include "s3_client.hpp"

namespace poster {

// Whether an object or a part with this ETag has the bytes of the slice, by MD5, and these still have their SHA-256.
// `cancelled` is asked often; then it is not said that they are the same.
bool etag_is_of(const std::string& etag, const S3Slice& slice, const std::function<bool()>& cancelled = {});
// Likewise of a file that was sent in parts of that size.
bool etag_is_of_parts(const std::string& etag, const S3Slice& whole, std::uint64_t part_bytes,
                      const std::function<bool()>& cancelled);
// By SHA-256: base64, "-", the number of parts.
bool checksum_is_of_parts(const std::string& checksum, const S3Slice& whole, std::uint64_t part_bytes,
                          const std::function<bool()>& cancelled);

} // namespace poster
