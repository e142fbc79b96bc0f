// Large files on their way to a server of S3 that notes what it is asked.

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>

#include <md5.hpp>
#include <s3_transfer.hpp>

#include "remote_fixture.hpp"
#include "tiny_server.hpp"

using namespace poster;

namespace {

constexpr std::uint64_t kPart = 1 << 20;

class TinyS3 {
public:
    TinyS3() {
        ::setenv("AWS_ACCESS_KEY_ID", "someone", 1);
        ::setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
        ::setenv("NO_PROXY", "*", 1);
    }

    void take(std::span<const RemoteFile> files, Progress& progress) {
        S3Place place;
        place.bucket = "bucket";
        place.endpoint = "http://" + server_.host();
        S3Session session{place};
        s3_upload(session, "", kPart, files, progress);
    }
    std::size_t count(const std::string& method) const {
        const std::lock_guard lock(mutex_);
        return std::size_t(std::count(methods_.begin(), methods_.end(), method));
    }

private:
    // One request to a connection: they are served one after the other.
    void serve(Peer& peer) {
        const std::string request = peer.read_request();
        if (request.empty()) return;
        const std::string method = request.substr(0, request.find(' '));
        const std::string line = request.substr(0, request.find("\r\n"));
        {
            const std::lock_guard lock(mutex_);
            methods_.push_back(method);
        }
        std::string head, body;
        if (method == "PUT")
            head = "ETag: \"" + md5_hex(request.substr(request.find("\r\n\r\n") + 4)) + "\"\r\n";
        else if (method == "GET")
            body = "<ListMultipartUploadsResult/>";
        else if (line.find("?uploads") != std::string::npos)
            body = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
        else
            body = "<CompleteMultipartUploadResult><ETag>\"of-all\"</ETag></CompleteMultipartUploadResult>";
        peer.say("HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + "Content-Length: " + std::to_string(body.size()) +
                 "\r\n\r\n" + body);
    }

    mutable std::mutex mutex_;
    std::vector<std::string> methods_;
    TinyServer server_{[this](Peer& peer) { serve(peer); }};
};

struct Large : RemoteFixture {
    RemoteFile& file = add("runs/a/files/large", std::string(3 * kPart + 1, 'x'));
};

} // namespace

TEST_CASE("the parts of a large file are sent to a bucket before its hash is known") {
    Large large;
    TinyS3 s3;
    HashedLast progress(large.file);
    s3.take(large.files, progress);
    REQUIRE(progress.deliveries.size() == 1);
    CHECK(progress.only().error.empty());
    CHECK(progress.only().receipt == "\"of-all\"");
    CHECK(s3.count("PUT") == 4);
}

TEST_CASE("of a file that changed while its parts were sent nothing stays in a bucket") {
    Large large;
    TinyS3 s3;
    NotedProgress progress;
    large.file.sha256 = sha256_hex("what it was");
    s3.take(large.files, progress);
    REQUIRE(progress.deliveries.size() == 1);
    CHECK(progress.only().error.find("changed while it was sent") != std::string::npos);
    CHECK(s3.count("DELETE") == 1);
}

TEST_CASE("parts in a bucket are kept for the next try where the hash of the file is not known in the end") {
    Large large;
    TinyS3 s3;
    NotedProgress progress;
    const bool cancels = GENERATE(false, true);
    const auto hash = [&] {
        progress.cancel = cancels;
        return std::string{};
    };
    large.file.sha256 = ContentHash(std::async(std::launch::deferred, hash).share());
    s3.take(large.files, progress);
    CHECK(s3.count("PUT") == 4);
    CHECK(s3.count("DELETE") == 0);
    CHECK(progress.deliveries.size() == (cancels ? 0 : 1));
    if (!cancels) CHECK(progress.only().error.find("cannot be read") != std::string::npos);
}
