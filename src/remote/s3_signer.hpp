#pragma once
// Signature version 4 of AWS, as S3 wants it: paths are signed as they are sent, neither normalized nor encoded twice.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <poster/run.hpp>

namespace poster {

struct AwsCredentials {
    std::string access_key, secret_key, session_token; // empty session_token: none
    bool operator==(const AwsCredentials&) const = default;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct RequestToSign {
    std::string method;
    std::string path; // encoded, as it is sent: uri_encode(…, Slashes::kept)
    Pairs query;      // not encoded
    Pairs headers;    // all that are to be signed, "host" and "x-amz-date" among them
    std::string payload_sha256;
};

struct SigningScope {
    std::string region, service = "s3";
    WallTime time{};
};

enum class Slashes { kept, encoded };
std::string uri_encode(std::string_view text, Slashes slashes); // all bytes but A-Z a-z 0-9 - _ . ~
std::string canonical_query(const Pairs& query);                // encoded and sorted: what is sent, too
std::string canonical_request(const RequestToSign& request);
std::string amz_date(WallTime time); // 20130524T000000Z

// The value of the header Authorization.
std::string authorization(const RequestToSign& request, const AwsCredentials& credentials, const SigningScope& scope);

} // namespace poster
