#pragma once
// What an answer of S3 that says no means: whether it passes, whom it concerns, and what to do.

#include <string>

#include "s3_client.hpp"

namespace poster {

// `what`: the request in words, "PUT s3://bucket/key".
S3Error s3_error(const std::string& what, const S3Place& place, const HttpResponse& response);

struct S3ErrorBody {
    std::string code, message, region, server_time;
};
S3ErrorBody parse_s3_error(const std::string& xml); // all empty: it is none

} // namespace poster
