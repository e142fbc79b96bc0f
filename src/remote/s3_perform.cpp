// How a request is signed, sent, sent again, and what is mended in between.

#include <algorithm>
#include <array>
#include <random>
#include <thread>

#include <clock.hpp>
#include <sha256.hpp>

#include "base64.hpp"
#include "s3_address.hpp"
#include "s3_call.hpp"
#include "s3_error.hpp"

namespace poster {

namespace {

constexpr int kTries = 4;
constexpr std::uint64_t kWorthSaving = 1 << 20; // a second hash of so many bytes
constexpr Milliseconds kLongestPause{5'000};
const std::string kNoBytes = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

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

} // namespace

std::string bytes_of_hex(const std::string& digits) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) bytes += char(std::stoi(digits.substr(i, 2), nullptr, 16));
    return bytes;
}

S3Session::S3Session(S3Place place)
    : place_(std::move(place)), chain_(place_.metadata, place_.transfer),
      region_(place_.region.empty() ? "us-east-1" : place_.region) {}

std::string S3Session::region() const {
    const std::lock_guard lock{mutex_};
    return region_;
}

bool S3Session::renew(const AwsCredentials& stale) {
    return chain_.renew(stale);
}

std::chrono::steady_clock::time_point S3Session::paused_until() const {
    const std::lock_guard lock{mutex_};
    return paused_until_;
}

void S3Session::pause_until(std::chrono::steady_clock::time_point time) {
    const std::lock_guard lock{mutex_};
    paused_until_ = std::max(paused_until_, time);
}

void S3Session::use_region(const std::string& region) {
    const std::lock_guard lock{mutex_};
    region_ = region;
}

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
    const S3Address address = s3_address(session_.place(), region);
    const AwsCredentials credentials = retries.sent_credentials = everywhere([this] { return session_.credentials(); });
    const WallTime now = wall_now() + Milliseconds{session_.clock_ahead.load()};
    RequestToSign to_sign;
    to_sign.method = call.method;
    to_sign.path = address.path + "/" + uri_encode(call.key, Slashes::kept);
    to_sign.query = call.query;
    const std::string payload = call.slice != nullptr ? call.slice->sha256
                                : call.body.empty()   ? kNoBytes
                                                      : sha256_hex(call.body);
    retries.sent_checksum = call.checksum && session_.checksums;
    retries.sent_unsigned = retries.sent_checksum && session_.verifies && !session_.signs_bodies &&
                            call.slice != nullptr && call.slice->bytes > kWorthSaving;
    to_sign.payload_sha256 = retries.sent_unsigned ? "UNSIGNED-PAYLOAD" : payload;
    to_sign.headers = call.headers;
    to_sign.headers.emplace_back("x-amz-date", amz_date(now));
    to_sign.headers.emplace_back("x-amz-content-sha256", to_sign.payload_sha256);
    if (retries.sent_checksum && call.slice == nullptr) {
        to_sign.headers.emplace_back("x-amz-checksum-algorithm", "SHA256");
    } else if (retries.sent_checksum) {
        to_sign.headers.emplace_back("x-amz-checksum-sha256", to_base64(bytes_of_hex(payload)));
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

// A server that names another region than the request was signed for.
bool S3Client::mended_region(const HttpResponse& response, const S3ErrorBody& body, Retries& retries) {
    std::string region = response.header("x-amz-bucket-region");
    if (region.empty()) region = body.region;
    if (retries.region || response.status >= 500 || region.empty() || region == retries.sent_region) return false;
    retries.region = true;
    session_.use_region(region);
    return true;
}

// The answer to HEAD has no body that says why it was refused: another request gets it, and throws it or mends it.
bool S3Client::asked_why(const Call& call, const HttpResponse& response, Retries& retries) {
    const bool unclear = response.status == 400 || response.status == 403 || response.status / 100 == 3;
    if (retries.asked || call.method != "HEAD" || !unclear) return false;
    retries.asked = true;
    const S3Sink sink{[](std::string_view) {}, [] {}};
    const Call ask{"GET", call.key, {}, {{"Range", "bytes=0-0"}}, {}, nullptr, &sink, false};
    try {
        perform(ask);
    } catch (const S3Error& error) {
        if (error.status != 416) throw; // there is not even a first byte
    }
    return true;
}

bool S3Client::mended_clock(const HttpResponse& response, const S3ErrorBody& body, Retries& retries) {
    if (retries.clock || body.code != "RequestTimeTooSkewed") return false;
    auto theirs = parse_iso8601(body.server_time);
    if (!theirs) theirs = parse_http_date(response.header("date"));
    if (!theirs) return false;
    retries.clock = true;
    session_.clock_ahead = (*theirs - wall_now()).count();
    return true;
}

// A session that has ended, or keys that have been replaced: there may be others by now.
bool S3Client::mended_credentials(const S3ErrorBody& body, Retries& retries) {
    constexpr std::array kOver{"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
                               "InvalidAccessKeyId"};
    if (retries.credentials || std::find(kOver.begin(), kOver.end(), body.code) == kOver.end()) return false;
    retries.credentials = true;
    return everywhere([&] { return session_.renew(retries.sent_credentials); });
}

// Checksums that the server does not know, or bodies whose hash is not in the signature, as a policy may demand it.
bool S3Client::mended_checksum(const HttpResponse& response, const S3ErrorBody& body, Retries& retries) {
    constexpr std::array kUnknown{"", "NotImplemented", "InvalidArgument", "InvalidRequest"};
    const bool unknown =
        response.status == 501 ||
        (response.status == 400 && std::find(kUnknown.begin(), kUnknown.end(), body.code) != kUnknown.end());
    if (!retries.checksum && retries.sent_checksum && unknown) {
        retries.checksum = true;
        session_.checksums = false;
        return true;
    }
    if (!retries.sent_unsigned || response.status != 403) return false;
    session_.signs_bodies = true;
    return true;
}

// Whether what was wrong with the request is put right now.
bool S3Client::mended(const Call& call, const HttpResponse& response, Retries& retries) {
    const S3ErrorBody body = parse_s3_error(response.body);
    return mended_region(response, body, retries) || asked_why(call, response, retries) ||
           mended_clock(response, body, retries) || mended_credentials(body, retries) ||
           mended_checksum(response, body, retries);
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
    if (error.retry_after) session_.pause_until(until); // all connections are meant
    return waited_until(until);
}

// false: cancelled.
bool S3Client::waited_until(std::chrono::steady_clock::time_point until) const {
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
            waited_until(session_.paused_until());
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

} // namespace poster
