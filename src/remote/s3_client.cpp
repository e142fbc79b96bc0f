#include "s3_client.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <pugixml.hpp>

#include <clock.hpp>
#include <sha256.hpp>

#include "base64.hpp"
#include "s3_error.hpp"

namespace poster {

namespace {

constexpr int kTries = 4;
constexpr std::uint64_t kWorthSaving = 1 << 20; // a second hash of so many bytes
constexpr Milliseconds kLongestPause{5'000};
const std::string kNoBytes = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string base64_of_hex(const std::string& digits) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) bytes += char(std::stoi(digits.substr(i, 2), nullptr, 16));
    return to_base64(bytes);
}

// Of the whole object or part; empty for the checksum of checksums, "…-7".
std::string hex_of_base64(const std::string& text) {
    if (text.find('-') != std::string::npos) return {};
    const auto bytes = from_base64(text);
    return bytes ? hex(*bytes) : "";
}

std::string xml_escaped(const std::string& text) {
    std::string result;
    for (const char c : text) {
        if (c == '&')
            result += "&amp;";
        else if (c == '<')
            result += "&lt;";
        else if (c == '>')
            result += "&gt;";
        else if (c == '"')
            result += "&quot;";
        else
            result += c;
    }
    return result;
}

std::string uri_decoded(const std::string& text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size() &&
                            std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                            std::isxdigit(static_cast<unsigned char>(text[i + 2]));
        if (escape) {
            result += char(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            result += text[i] == '+' ? ' ' : text[i];
        }
    }
    return result;
}

bool may_be_a_host_name(const std::string& bucket) {
    return bucket.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

struct Address {
    std::string scheme, host, path; // path: before the key, without a slash at its end
};

Address address_of(const S3Place& place, const std::string& region) {
    std::string endpoint = place.endpoint;
    if (endpoint.empty()) {
        endpoint = "https://s3." + region + ".amazonaws.com";
        if (region.starts_with("cn-")) endpoint += ".cn";
    }
    Address address;
    const std::size_t scheme = endpoint.find("://");
    if (scheme == std::string::npos)
        throw S3Error("the endpoint " + endpoint + " does not say how it is spoken to",
                      "s3.endpoint begins with https:// or http://", S3Error::Kind::permanent_everywhere);
    address.scheme = endpoint.substr(0, scheme);
    std::string rest = endpoint.substr(scheme + 3);
    const std::size_t slash = rest.find('/');
    address.host = rest.substr(0, slash);
    if (slash != std::string::npos) address.path = rest.substr(slash);
    while (address.path.ends_with('/')) address.path.pop_back();
    const std::string port = address.scheme == "https" ? ":443" : ":80"; // as libcurl says it in the header Host
    if (address.host.ends_with(port)) address.host.resize(address.host.size() - port.size());
    const bool as_host =
        place.addressing == Addressing::virtual_host ||
        (place.addressing == Addressing::automatic && place.endpoint.empty() && may_be_a_host_name(place.bucket));
    if (as_host)
        address.host = place.bucket + "." + address.host;
    else
        address.path += "/" + uri_encode(place.bucket, Slashes::encoded);
    return address;
}

// What is wrong on this machine before anything is sent: no credentials, no libcurl, no certificates.
template <typename Work>
auto everywhere(const Work& work) {
    try {
        return work();
    } catch (const TransferError&) {
        throw;
    } catch (const Error& e) {
        throw S3Error(e.what(), e.help(), S3Error::Kind::permanent_everywhere);
    }
}

pugi::xml_document parsed(const HttpResponse& response, const std::string& what) {
    pugi::xml_document document;
    if (!document.load_buffer(response.body.data(), response.body.size()))
        throw S3Error(what + ": the answer is not XML", "see whether s3.endpoint is that of S3",
                      S3Error::Kind::permanent_everywhere);
    return document;
}

} // namespace

S3Session::S3Session(S3Place place)
    : place_(std::move(place)), chain_(place_.metadata, place_.transfer),
      region_(place_.region.empty() ? "us-east-1" : place_.region) {}

std::string S3Session::region() const {
    const std::lock_guard lock{mutex_};
    return region_;
}

void S3Session::use_region(const std::string& region) {
    const std::lock_guard lock{mutex_};
    region_ = region;
}

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
    bool region = false, clock = false, checksum = false; // mended once
    std::string sent_region;                              // another client may have mended the session since
    bool sent_checksum = false, sent_unsigned = false;
    Milliseconds pause{150};
};

S3Client::S3Client(S3Session& session, std::function<bool()> cancelled)
    : session_(session), cancelled_(std::move(cancelled)) {}

// Made at the first request: what is wrong with it is told as that of a request.
HttpClient& S3Client::connection() {
    if (http_) return *http_;
    TransferOptions options = session_.place().transfer;
    options.cancelled = cancelled_;
    return http_.emplace(everywhere([&] { return HttpClient{std::move(options)}; }));
}

HttpResponse S3Client::send(const Call& call, Retries& retries, std::uint64_t& told) {
    const std::string region = retries.sent_region = session_.region();
    const Address address = address_of(session_.place(), region);
    const AwsCredentials credentials = everywhere([this] { return session_.credentials(); });
    const WallTime now = wall_now() + Milliseconds{session_.clock_ahead.load()};
    RequestToSign to_sign;
    to_sign.method = call.method;
    to_sign.path = address.path + "/" + uri_encode(call.key, Slashes::kept);
    to_sign.query = call.query;
    const std::string payload = call.slice != nullptr ? call.slice->sha256
                                : call.body.empty()   ? kNoBytes
                                                      : sha256_hex(call.body);
    retries.sent_checksum = call.checksum && session_.checksums;
    retries.sent_unsigned =
        retries.sent_checksum && session_.verifies && call.slice != nullptr && call.slice->bytes > kWorthSaving;
    to_sign.payload_sha256 = retries.sent_unsigned ? "UNSIGNED-PAYLOAD" : payload;
    to_sign.headers = call.headers;
    to_sign.headers.emplace_back("x-amz-date", amz_date(now));
    to_sign.headers.emplace_back("x-amz-content-sha256", to_sign.payload_sha256);
    if (retries.sent_checksum && call.slice == nullptr) {
        to_sign.headers.emplace_back("x-amz-checksum-algorithm", "SHA256");
    } else if (retries.sent_checksum) {
        to_sign.headers.emplace_back("x-amz-checksum-sha256", base64_of_hex(payload));
    }
    if (!credentials.session_token.empty())
        to_sign.headers.emplace_back("x-amz-security-token", credentials.session_token);
    HttpRequest request;
    request.method = call.method;
    request.headers = to_sign.headers;
    to_sign.headers.emplace_back("host", address.host);
    request.headers.emplace_back("Authorization", authorization(to_sign, credentials, {region, "s3", now}));
    const std::string query = canonical_query(call.query);
    request.url = address.scheme + "://" + address.host + to_sign.path + (query.empty() ? "" : "?") + query;
    request.body = call.body;
    std::uint64_t sent = 0;
    if (call.slice != nullptr) {
        request.file = call.slice->file;
        request.offset = call.slice->offset;
        request.length = call.slice->bytes;
        request.sent = [&](std::uint64_t bytes) {
            sent += bytes;
            if (sent <= told) return;
            if (call.slice->sent) call.slice->sent(sent - told);
            told = sent;
        };
    }
    if (call.sink != nullptr) request.received = call.sink->take;
    return connection().perform(request);
}

// Whether what was wrong with the request is put right now: the region, the clock, a checksum that it does not know.
bool S3Client::mended(const Call& call, const HttpResponse& response, Retries& retries) {
    const S3ErrorBody body = parse_s3_error(response.body);
    std::string region = response.header("x-amz-bucket-region");
    if (region.empty()) region = body.region;
    if (!retries.region && response.status < 500 && !region.empty() && region != retries.sent_region) {
        retries.region = true;
        session_.use_region(region);
        return true;
    }
    // The answer to HEAD has no body that would say more: another request gets it.
    if (!retries.region && call.method == "HEAD" && (response.status == 400 || response.status == 301)) {
        retries.region = true;
        Call ask{"GET", "", {{"list-type", "2"}, {"max-keys", "1"}}, {}, {}, nullptr, nullptr, false};
        perform(ask);
        return true;
    }
    if (!retries.clock && body.code == "RequestTimeTooSkewed") {
        const auto theirs = parse_http_date(response.header("date"));
        if (!theirs) return false;
        retries.clock = true;
        session_.clock_ahead = (*theirs - wall_now()).count();
        return true;
    }
    if (!retries.checksum && retries.sent_checksum && (response.status == 501 || body.code == "NotImplemented")) {
        retries.checksum = true;
        session_.checksums = false;
        return true;
    }
    if (retries.sent_unsigned && response.status == 403) { // a bucket's policy may forbid it
        session_.verifies = false;
        return true;
    }
    return false;
}

// Waits before the next try. While nothing has ever been answered the place is not there, and nobody waits for it.
bool S3Client::worth_again(const S3Error& error, Retries& retries) const {
    if (!error.passing() || !session_.reached || ++retries.tries >= kTries) return false;
    if (error.retry_after && *error.retry_after > kLongestPause) return false;
    thread_local std::mt19937 random{std::random_device{}()};
    const Milliseconds pause = error.retry_after.value_or(
        Milliseconds{std::uniform_int_distribution<long>(retries.pause.count() / 2, retries.pause.count())(random)});
    retries.pause *= 3;
    const auto until = std::chrono::steady_clock::now() + pause;
    while (std::chrono::steady_clock::now() < until) {
        if (cancelled_()) return false;
        std::this_thread::sleep_for(Milliseconds{20});
    }
    return !cancelled_();
}

HttpResponse S3Client::perform(const Call& call) {
    const std::string what = call.what(session_.place());
    Retries retries;
    std::uint64_t told = 0;
    for (;; call.sink != nullptr ? call.sink->again() : void()) {
        try {
            HttpResponse response = send(call, retries, told);
            session_.reached = true;
            if (response.status / 100 == 2 && !parse_s3_error(call.sink == nullptr ? response.body : "").code.empty())
                response.status = 500; // S3 begins to answer "200" while it is still at work
            if (response.status / 100 == 2 && retries.sent_unsigned &&
                response.header("x-amz-checksum-sha256").empty()) {
                session_.verifies = false; // nobody has looked at what arrived
                continue;
            }
            if (response.status / 100 == 2) return response;
            if (mended(call, response, retries)) continue;
            throw s3_error(what, session_.place(), response);
        } catch (const TransferError& e) {
            const S3Error error{what + ": " + e.what(), e.help(),
                                e.passing() ? S3Error::Kind::passing_everywhere : S3Error::Kind::permanent_everywhere};
            if (!worth_again(error, retries)) throw error;
        } catch (const S3Error& error) {
            if (!worth_again(error, retries)) throw;
        }
    }
}

std::optional<S3Object> S3Client::head(const std::string& key) {
    const Call call{"HEAD", key, {}, {{"x-amz-checksum-mode", "ENABLED"}}, {}, nullptr, nullptr, false};
    try {
        const HttpResponse response = perform(call);
        S3Object object;
        object.bytes = std::strtoull(response.header("content-length").c_str(), nullptr, 10);
        object.etag = response.header("etag");
        object.noted_sha256 = response.header("x-amz-meta-sha256");
        object.sha256 = hex_of_base64(response.header("x-amz-checksum-sha256"));
        return object;
    } catch (const S3Error& error) {
        if (error.status == 404) return {};
        throw;
    }
}

// An answer without an ETag is not from S3, whatever its status says.
std::string S3Client::checked_etag(const Call& call, const HttpResponse& response, const S3Slice& slice) {
    const std::string etag = response.header("etag"), what = call.what(session_.place());
    if (etag.empty())
        throw S3Error(what + ": the answer has no ETag", "see whether s3.endpoint is that of S3, and the proxy",
                      S3Error::Kind::permanent_everywhere);
    const std::string sha256 = hex_of_base64(response.header("x-amz-checksum-sha256"));
    if (!sha256.empty() && sha256 != slice.sha256)
        throw S3Error(what + ": other bytes arrived than were sent", {}, S3Error::Kind::passing);
    if (!sha256.empty()) session_.verifies = true;
    return etag;
}

std::string S3Client::put(const std::string& key, const S3Slice& slice, const std::string& file_sha256) {
    Call call{"PUT", key, {}, {{"x-amz-meta-sha256", file_sha256}}, {}, &slice, nullptr, true};
    if (const std::string& name = session_.place().storage_class; !name.empty())
        call.headers.emplace_back("x-amz-storage-class", name);
    return checked_etag(call, perform(call), slice);
}

void S3Client::get(const std::string& key, std::optional<std::pair<std::uint64_t, std::uint64_t>> offset_and_bytes,
                   const S3Sink& sink) {
    Call call{"GET", key, {}, {}, {}, nullptr, &sink, false};
    if (offset_and_bytes) {
        const auto [offset, bytes] = *offset_and_bytes;
        call.headers.emplace_back("Range", fmt::format("bytes={}-{}", offset, offset + bytes - 1));
    }
    const HttpResponse response = perform(call);
    if (offset_and_bytes && response.status != 206)
        throw S3Error(call.what(session_.place()) + ": the server sends no parts of objects", {},
                      S3Error::Kind::permanent);
}

std::string S3Client::create_upload(const std::string& key, const std::string& file_sha256) {
    Call call{"POST", key, {{"uploads", ""}}, {{"x-amz-meta-sha256", file_sha256}}, {}, nullptr, nullptr, true};
    if (const std::string& name = session_.place().storage_class; !name.empty())
        call.headers.emplace_back("x-amz-storage-class", name);
    const std::string what = call.what(session_.place());
    const auto document = parsed(perform(call), what);
    const std::string id = document.child("InitiateMultipartUploadResult").child_value("UploadId");
    if (id.empty()) throw S3Error(what + ": the answer names no upload", {}, S3Error::Kind::permanent_everywhere);
    return id;
}

S3Part S3Client::upload_part(const S3Upload& upload, int number, const S3Slice& slice) {
    const Call call{"PUT",   upload.key, {{"partNumber", std::to_string(number)}, {"uploadId", upload.id}},
                    {},      {},         &slice,
                    nullptr, true};
    const HttpResponse response = perform(call);
    return {number, slice.bytes, checked_etag(call, response, slice),
            hex_of_base64(response.header("x-amz-checksum-sha256"))};
}

std::vector<S3Part> S3Client::parts(const S3Upload& upload) {
    std::vector<S3Part> parts;
    Call call{"GET", upload.key, {}, {}, {}, nullptr, nullptr, false};
    for (std::string after;;) {
        call.query = {{"uploadId", upload.id}};
        if (!after.empty()) call.query.emplace_back("part-number-marker", after);
        const auto document = parsed(perform(call), call.what(session_.place()));
        const pugi::xml_node result = document.child("ListPartsResult");
        for (const pugi::xml_node part : result.children("Part")) {
            parts.push_back({std::atoi(part.child_value("PartNumber")),
                             std::strtoull(part.child_value("Size"), nullptr, 10), part.child_value("ETag"),
                             hex_of_base64(part.child_value("ChecksumSHA256"))});
        }
        const std::string next = result.child_value("NextPartNumberMarker");
        if (result.child_value("IsTruncated") != std::string{"true"} || next.empty() || next == after) return parts;
        after = next;
    }
}

std::string S3Client::complete(const S3Upload& upload, const std::vector<S3Part>& parts) {
    std::string body = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    for (const S3Part& part : parts) {
        body += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag>", part.number, xml_escaped(part.etag));
        if (!part.sha256.empty()) body += "<ChecksumSHA256>" + base64_of_hex(part.sha256) + "</ChecksumSHA256>";
        body += "</Part>";
    }
    body += "</CompleteMultipartUpload>";
    const Call call{
        "POST",  upload.key, {{"uploadId", upload.id}}, {{"Content-Type", "application/xml"}}, body, nullptr,
        nullptr, false};
    const std::string what = call.what(session_.place());
    const auto document = parsed(perform(call), what);
    const std::string etag = document.child("CompleteMultipartUploadResult").child_value("ETag");
    if (etag.empty()) throw S3Error(what + ": the answer has no ETag", {}, S3Error::Kind::passing);
    return etag;
}

void S3Client::abort(const S3Upload& upload) {
    const Call call{"DELETE", upload.key, {{"uploadId", upload.id}}, {}, {}, nullptr, nullptr, false};
    try {
        perform(call);
    } catch (const S3Error& error) {
        if (error.status != 404) throw; // it is gone already
    }
}

std::vector<S3Upload> S3Client::uploads(const std::string& prefix) {
    std::vector<S3Upload> uploads;
    Call call{"GET", "", {}, {}, {}, nullptr, nullptr, false};
    for (std::string key_marker, id_marker;;) {
        call.query = {{"uploads", ""}, {"prefix", prefix}, {"encoding-type", "url"}};
        if (!key_marker.empty()) call.query.emplace_back("key-marker", key_marker);
        if (!id_marker.empty()) call.query.emplace_back("upload-id-marker", id_marker);
        const auto document = parsed(perform(call), call.what(session_.place()));
        const pugi::xml_node result = document.child("ListMultipartUploadsResult");
        const bool encoded = result.child_value("EncodingType") == std::string{"url"};
        auto key_of = [encoded](const std::string& text) { return encoded ? uri_decoded(text) : text; };
        for (const pugi::xml_node upload : result.children("Upload")) {
            uploads.push_back({key_of(upload.child_value("Key")), upload.child_value("UploadId"),
                               parse_iso8601(upload.child_value("Initiated")).value_or(wall_now())});
        }
        const std::string next = key_of(result.child_value("NextKeyMarker"));
        const std::string next_id = result.child_value("NextUploadIdMarker");
        if (result.child_value("IsTruncated") != std::string{"true"} || (next == key_marker && next_id == id_marker))
            return uploads;
        key_marker = next;
        id_marker = next_id;
    }
}

std::vector<std::string> S3Client::names(const std::string& prefix) {
    std::vector<std::string> names;
    Call call{"GET", "", {}, {}, {}, nullptr, nullptr, false};
    for (std::string token;;) {
        call.query = {{"list-type", "2"}, {"delimiter", "/"}, {"prefix", prefix}, {"encoding-type", "url"}};
        if (!token.empty()) call.query.emplace_back("continuation-token", token);
        const auto document = parsed(perform(call), call.what(session_.place()));
        const pugi::xml_node result = document.child("ListBucketResult");
        const bool encoded = result.child_value("EncodingType") == std::string{"url"};
        auto add = [&](const char* text) {
            std::string key = encoded ? uri_decoded(text) : text;
            while (key.ends_with('/')) key.pop_back();
            if (key.size() > prefix.size()) names.push_back(key.substr(prefix.size()));
        };
        for (const pugi::xml_node folder : result.children("CommonPrefixes")) add(folder.child_value("Prefix"));
        for (const pugi::xml_node object : result.children("Contents")) add(object.child_value("Key"));
        const std::string next = result.child_value("NextContinuationToken");
        if (result.child_value("IsTruncated") != std::string{"true"} || next.empty() || next == token) break;
        token = next;
    }
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace poster
