// The signer against the vectors that AWS publishes.

#include <catch2/catch.hpp>

#include "clock.hpp"
#include "s3_signer.hpp"
#include "sha256.hpp"

using namespace poster;

namespace {

struct Vector {
    std::string name;
    RequestToSign request;
    std::string signed_headers, signature;
};

// The signature test suite, for a service that is called "service". Its cases of paths that are normalized are left
// out: S3 does not normalize.
Vector suite(std::string name, std::string method, std::string path, Pairs query, Pairs headers, std::string body,
             std::string signed_headers, std::string signature) {
    headers.emplace_back("Host", "example.amazonaws.com");
    headers.emplace_back("X-Amz-Date", "20150830T123600Z");
    return {
        std::move(name),
        {std::move(method), uri_encode(path, Slashes::kept), std::move(query), std::move(headers), sha256_hex(body)},
        std::move(signed_headers),
        std::move(signature)};
}

const std::string kUnreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// The examples of the S3 documentation, "Authenticating Requests: Using the Authorization Header".
Vector example(std::string name, std::string method, std::string path, Pairs query, Pairs headers,
               const std::string& body, std::string signed_headers, std::string signature) {
    headers.emplace_back("Host", "examplebucket.s3.amazonaws.com");
    headers.emplace_back("x-amz-date", "20130524T000000Z");
    headers.emplace_back("x-amz-content-sha256", sha256_hex(body));
    return {
        std::move(name),
        {std::move(method), uri_encode(path, Slashes::kept), std::move(query), std::move(headers), sha256_hex(body)},
        std::move(signed_headers),
        std::move(signature)};
}

} // namespace

TEST_CASE("signatures agree with the test suite of signature version 4") {
    const auto it = GENERATE(values<Vector>({
        suite("get-vanilla", "GET", "/", {}, {}, "", "host;x-amz-date",
              "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        suite("get-vanilla-query-order-key-case", "GET", "/", {{"Param2", "value2"}, {"Param1", "value1"}}, {}, "",
              "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        suite("get-vanilla-empty-query-key", "GET", "/", {{"Param1", "value1"}}, {}, "", "host;x-amz-date",
              "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        suite("get-vanilla-query-unreserved", "GET", "/", {{kUnreserved, kUnreserved}}, {}, "", "host;x-amz-date",
              "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        suite("get-vanilla-utf8-query", "GET", "/", {{"ሴ", "bar"}}, {}, "", "host;x-amz-date",
              "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
        suite("get-utf8", "GET", "/ሴ", {}, {}, "", "host;x-amz-date",
              "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        suite("get-unreserved", "GET", "/" + kUnreserved, {}, {}, "", "host;x-amz-date",
              "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
        suite("get-header-value-trim", "GET", "/", {}, {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
              "", "host;my-header1;my-header2;x-amz-date",
              "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        suite("get-header-key-duplicate", "GET", "/", {},
              {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}}, "",
              "host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
        suite("post-vanilla", "POST", "/", {}, {}, "", "host;x-amz-date",
              "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        suite("post-header-key-sort", "POST", "/", {}, {{"My-Header1", "value1"}}, "", "host;my-header1;x-amz-date",
              "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        suite("post-x-www-form-urlencoded", "POST", "/", {}, {{"Content-Type", "application/x-www-form-urlencoded"}},
              "Param1=value1", "content-type;host;x-amz-date",
              "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    }));
    CAPTURE(it.name, canonical_request(it.request));
    CHECK(authorization(it.request, {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""},
                        {"us-east-1", "service", *parse_iso8601("2015-08-30T12:36:00.000Z")}) ==
          "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" +
              it.signed_headers + ", Signature=" + it.signature);
}

TEST_CASE("signatures agree with the examples of the S3 documentation") {
    const auto it = GENERATE(values<Vector>({
        example("a part of an object", "GET", "/test.txt", {}, {{"Range", "bytes=0-9"}}, "",
                "host;range;x-amz-content-sha256;x-amz-date",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        example("an object of a storage class", "PUT", "/test$file.text", {},
                {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                "Welcome to Amazon S3.", "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        example("a query without a value", "GET", "/", {{"lifecycle", ""}}, {}, "",
                "host;x-amz-content-sha256;x-amz-date",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        example("a list", "GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}, "",
                "host;x-amz-content-sha256;x-amz-date",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    }));
    CAPTURE(it.name, canonical_request(it.request));
    CHECK(authorization(it.request, {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""},
                        {"us-east-1", "s3", *parse_iso8601("2013-05-24T00:00:00.000Z")}) ==
          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=" +
              it.signed_headers + ", Signature=" + it.signature);
}

TEST_CASE("every byte of a key is encoded but those that never are") {
    auto [text, encoded] = GENERATE(table<std::string, std::string>({
        {"a/b", "a/b"},
        {"sp ace", "sp%20ace"},
        {"+=:@()*'$&,!;[#?%", "%2B%3D%3A%40%28%29%2A%27%24%26%2C%21%3B%5B%23%3F%25"},
        {"ü", "%C3%BC"},
        {"-_.~", "-_.~"},
        {std::string("\n\x7f", 2), "%0A%7F"},
    }));
    CHECK(uri_encode(text, Slashes::kept) == encoded);
    CHECK(uri_encode("a/b", Slashes::encoded) == "a%2Fb");
}
