#pragma once
// The requests of S3 that poster needs, signed, their answers read and their errors understood.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "aws_credentials.hpp"
#include "http.hpp"

namespace poster {

enum class Addressing { automatic, path, virtual_host };

struct S3Place {
    std::string bucket;
    std::string region;        // empty: us-east-1 until the server says another one
    std::string endpoint;      // "https://host:port"; empty: Amazon's for the region
    std::string storage_class; // empty: the bucket's default
    Addressing addressing = Addressing::automatic;
    bool read_back = false; // to verify an object, rather than believe the hash that the server has for it
    bool metadata = false;  // credentials from the machine's or container's service
    TransferOptions transfer;
};

// A request that did not succeed.
class S3Error : public Error {
public:
    // `everywhere`: other files would fare the same now.
    enum class Kind { passing, passing_everywhere, permanent, permanent_everywhere };
    S3Error(const std::string& what, std::string help, Kind its_kind, std::string its_code = {}, int its_status = 0)
        : Error(what, std::move(help)), kind(its_kind), code(std::move(its_code)), status(its_status) {}
    bool passing() const { return kind == Kind::passing || kind == Kind::passing_everywhere; }
    bool everywhere() const { return kind == Kind::passing_everywhere || kind == Kind::permanent_everywhere; }

    Kind kind;
    std::string code; // S3's own word, "NoSuchBucket"; may be empty
    int status;       // of HTTP; 0: there was no answer
    std::optional<Milliseconds> retry_after;
};

// What the clients of one place share. Safe from any thread.
class S3Session {
public:
    explicit S3Session(S3Place place);

    const S3Place& place() const { return place_; }
    std::string region() const;
    void use_region(const std::string& region);
    AwsCredentials credentials() { return chain_.credentials(); }
    bool renew(const AwsCredentials& stale); // whether there are others instead
    // As the server asked for it: until then nobody sends anything.
    std::chrono::steady_clock::time_point paused_until() const;
    void pause_until(std::chrono::steady_clock::time_point time);

    std::atomic<bool> reached{false};  // it has answered: what fails now may be a single request
    std::atomic<bool> checksums{true}; // it knows x-amz-checksum-sha256
    // It has shown that it verifies that: as the checksum is signed, the body needs no second hash in the signature.
    std::atomic<bool> verifies{false};
    std::atomic<bool> signs_bodies{false};    // a policy of the bucket wants it all the same
    std::atomic<bool> etag_is_md5{true};      // until one is not
    std::atomic<std::int64_t> clock_ahead{0}; // milliseconds of its clock before ours

private:
    S3Place place_;
    AwsCredentialChain chain_;
    mutable std::mutex mutex_;
    std::string region_;
    std::chrono::steady_clock::time_point paused_until_{};
};

struct S3ErrorBody;

struct S3Object {
    std::uint64_t bytes = 0;
    std::string etag;
    std::string noted_sha256; // as poster noted it with the object; empty: it did not
    std::string sha256;       // as the server computed it of the whole; empty: it did not
    std::string checksum; // the server's SHA-256 of the whole or of the parts; empty: it has not looked at what arrived
};

struct S3Part {
    int number = 0; // from 1
    std::uint64_t bytes = 0;
    std::string etag;
    std::string sha256; // empty: the server does not tell
    bool proven = true; // what arrived is what was sent
};

struct S3Upload {
    std::string key, id;
    WallTime begun{};
};

// What is sent: a piece of an open file. `sent` is told of bytes more, of a repeated try only of those beyond.
struct S3Slice {
    int file = -1;
    std::uint64_t offset = 0, bytes = 0;
    std::string sha256;
    std::function<void(std::uint64_t)> sent;
};

// Where what is fetched goes.
struct S3Sink {
    std::function<void(std::string_view)> take;
    std::function<void()> again; // all that was taken is void: it begins anew
};

// One connection; of one thread at a time. All throw S3Error.
class S3Client {
public:
    S3Client(S3Session& session, std::function<bool()> cancelled);

    std::optional<S3Object> head(const std::string& key); // nullopt: it is not there
    // Returns the ETag. `file_sha256` is noted with the object. Where the server does not say what arrived, it is read.
    std::string put(const std::string& key, const S3Slice& slice, const std::string& file_sha256);
    void get(const std::string& key, std::optional<std::pair<std::uint64_t, std::uint64_t>> offset_and_bytes,
             const S3Sink& sink);

    std::string sha256_of(const std::string& key); // reads the object

    std::string create_upload(const std::string& key, const std::string& file_sha256); // returns its id
    S3Part upload_part(const S3Upload& upload, int number, const S3Slice& slice);
    std::vector<S3Part> parts(const S3Upload& upload);
    std::string complete(const S3Upload& upload, const std::vector<S3Part>& parts); // returns the ETag
    void abort(const S3Upload& upload);
    std::vector<S3Upload> uploads(const std::string& prefix); // unfinished ones of keys that begin so

    // What follows `prefix` up to the next slash, of all keys that begin with it.
    std::vector<std::string> names(const std::string& prefix);

private:
    struct Call;
    struct Retries;
    HttpClient& connection();
    HttpResponse perform(const Call& call);
    HttpResponse send(const Call& call, Retries& retries, std::uint64_t& told);
    bool mended(const Call& call, const HttpResponse& response, Retries& retries);
    bool mended_region(const HttpResponse& response, const S3ErrorBody& body, Retries& retries);
    bool asked_why(const Call& call, const HttpResponse& response, Retries& retries);
    bool mended_clock(const HttpResponse& response, const S3ErrorBody& body, Retries& retries);
    bool mended_credentials(const S3ErrorBody& body, Retries& retries);
    bool mended_checksum(const HttpResponse& response, const S3ErrorBody& body, Retries& retries);
    bool worth_again(const S3Error& error, Retries& retries) const;
    bool waited_until(std::chrono::steady_clock::time_point until) const;
    std::string checked_etag(const Call& call, const HttpResponse& response, const S3Slice& slice);
    bool proves(const HttpResponse& response, const S3Slice& slice) const;

    S3Session& session_;
    std::function<bool()> cancelled_;
    std::optional<HttpClient> http_;
};

} // namespace poster
