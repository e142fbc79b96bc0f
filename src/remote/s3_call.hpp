#pragma once
// A request of S3Client, and what was tried to have it answered. Of its implementation.

#include <string>

#include "s3_client.hpp"

namespace poster {

std::string bytes_of_hex(const std::string& digits);

struct S3Client::Call {
    std::string method, key;
    Pairs query, headers;
    std::string body;
    const S3Slice* slice = nullptr; // instead of a body
    const S3Sink* sink = nullptr;
    bool checksum = false; // send the slice's, or without one say that parts will have some
    std::string what(const S3Place& place) const {
        return method + " s3://" + place.bucket + (key.empty() ? "" : "/") + key;
    }
};

struct S3Client::Retries {
    int tries = 0;
    // Mended once.
    bool region = false, asked = false, clock = false, credentials = false, checksum = false;
    std::string sent_region; // another client may have mended the session since
    AwsCredentials sent_credentials;
    bool sent_checksum = false, sent_unsigned = false;
    Milliseconds pause{150};
};

} // namespace poster
