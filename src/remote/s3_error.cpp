#include "s3_error.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <pugixml.hpp>

#include <text.hpp>

namespace poster {

namespace {

using Kind = S3Error::Kind;

struct Meaning {
    const char* code;
    Kind kind;
    const char* help;
};

constexpr const char* kKeys = "see whether the access key and its secret are right, of this server and still valid";
constexpr const char* kToken = "get new credentials: the session they belong to is over";

// By S3's own words; what is not listed goes by the status.
constexpr std::array kMeanings{
    Meaning{"NoSuchBucket", Kind::permanent_everywhere, "make the bucket, or see whether s3.bucket is right"},
    Meaning{"InvalidBucketName", Kind::permanent_everywhere, "see whether s3.bucket is right"},
    Meaning{"InvalidAccessKeyId", Kind::permanent_everywhere, kKeys},
    Meaning{"SignatureDoesNotMatch", Kind::permanent_everywhere, kKeys},
    Meaning{"InvalidToken", Kind::permanent_everywhere, kToken},
    Meaning{"TokenRefreshRequired", Kind::permanent_everywhere, kToken},
    Meaning{"ExpiredTokenException", Kind::permanent_everywhere, kToken},
    Meaning{"ExpiredToken", Kind::permanent_everywhere, kToken},
    Meaning{
        "AccessDenied", Kind::permanent_everywhere,
        "the credentials need the right to PutObject, GetObject, AbortMultipartUpload and ListBucket in this bucket"},
    Meaning{"AccountProblem", Kind::permanent_everywhere, "ask the provider about the account"},
    Meaning{"AllAccessDisabled", Kind::permanent_everywhere, "ask the provider about the account"},
    Meaning{"InvalidStorageClass", Kind::permanent_everywhere, "see whether s3.storage_class is one of this server's"},
    Meaning{"AuthorizationHeaderMalformed", Kind::permanent_everywhere, "set s3.region to the bucket's region"},
    Meaning{"PermanentRedirect", Kind::permanent_everywhere, "set s3.region to the bucket's region"},
    Meaning{"TemporaryRedirect", Kind::passing_everywhere, "the bucket is new: try again later"},
    Meaning{"KeyTooLongError", Kind::permanent, "leave the file out by upload.exclude, or shorten s3.prefix"},
    Meaning{"RequestTimeTooSkewed", Kind::passing_everywhere, "set the clock of this machine"},
    Meaning{"SlowDown", Kind::passing_everywhere, ""},
    Meaning{"QuotaExceeded", Kind::passing_everywhere, "the storage is full"},
    Meaning{"XMinioStorageFull", Kind::passing_everywhere, "the storage is full"},
    Meaning{"InsufficientStorage", Kind::passing_everywhere, "the storage is full"},
    Meaning{"RequestTimeout", Kind::passing, ""},
    Meaning{"OperationAborted", Kind::passing, ""},
    Meaning{"ConditionalRequestConflict", Kind::passing, ""},
    Meaning{"IncompleteBody", Kind::passing, ""},
    Meaning{"BadDigest", Kind::passing, ""},
    Meaning{"XAmzContentSHA256Mismatch", Kind::passing, ""},
    Meaning{"XAmzContentChecksumMismatch", Kind::passing, ""},
    Meaning{"NoSuchUpload", Kind::passing, ""}, // somebody aborted it: the next try begins anew
};

Meaning meaning_of(const std::string& code, int status) {
    for (const Meaning& meaning : kMeanings) {
        if (code == meaning.code) return meaning;
    }
    if (status == 501) return {"", Kind::permanent, "the server cannot do this"};
    if (status >= 500 || status == 429 || status == 408) return {"", Kind::passing_everywhere, ""};
    if (status == 401 || status == 403) return {"", Kind::permanent_everywhere, kKeys};
    if (status == 407)
        return {"", Kind::permanent_everywhere, "the proxy wants credentials: http://user:password@host"};
    if (status / 100 == 3) return {"", Kind::permanent_everywhere, "see whether s3.endpoint and s3.region are right"};
    return {"", Kind::permanent, ""};
}

} // namespace

S3ErrorBody parse_s3_error(const std::string& xml) {
    pugi::xml_document document;
    if (!document.load_buffer(xml.data(), xml.size())) return {};
    const pugi::xml_node error = document.child("Error");
    return {error.child_value("Code"), error.child_value("Message"), error.child_value("Region"),
            error.child_value("ServerTime")};
}

S3Error s3_error(const std::string& what, const S3Place& place, const HttpResponse& response) {
    const S3ErrorBody body = parse_s3_error(response.body);
    const Meaning meaning = meaning_of(body.code, response.status);
    std::string help = meaning.help;
    std::string region = response.header("x-amz-bucket-region");
    if (region.empty()) region = body.region;
    if (response.status == 301 && !region.empty() && region != place.region)
        help = fmt::format("the bucket is in the region {}: set s3.region and s3.endpoint to it", in_a_line(region));
    std::string text = fmt::format("{}: {}", what, response.status);
    if (!body.code.empty()) text += " " + in_a_line(body.code);
    if (!body.message.empty()) text += ": " + in_a_line(body.message);
    S3Error error{text, help, meaning.kind, body.code, response.status};
    error.retry_after = response.retry_after();
    return error;
}

} // namespace poster
