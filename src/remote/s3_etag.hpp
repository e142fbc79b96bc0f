#pragma once
// The ETags of servers that know no SHA-256: the MD5 of an object, or of the MD5s of its parts. Others make up theirs.

#include <cstdint>
#include <string>

#include "s3_client.hpp"

namespace poster {

// Whether an object or a part with this ETag has the bytes of the slice, by MD5, and these still have their SHA-256.
bool etag_is_of(const std::string& etag, const S3Slice& slice);
// Likewise of a file that was sent in parts of that size.
bool etag_is_of_parts(const std::string& etag, const S3Slice& whole, std::uint64_t part_bytes);

} // namespace poster
