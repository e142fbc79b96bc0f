#pragma once
// Where a bucket is reached: in the path of its endpoint, or at a host name of its own.

#include <string>

#include "s3_client.hpp"

namespace poster {

struct S3Address {
    std::string scheme, host, path; // path: before the key, without a slash at its end
};

// Throws S3Error for an endpoint that is none.
S3Address s3_address(const S3Place& place, const std::string& region);

} // namespace poster
