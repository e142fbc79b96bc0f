// Where a bucket is reached.

#include <catch2/catch.hpp>

#include "s3_address.hpp"

using namespace poster;

TEST_CASE("a bucket is reached by its own host name or in the path") {
    struct Case {
        std::string bucket, endpoint, region;
        Addressing addressing;
        std::string url;
    };
    const auto it = GENERATE(values<Case>({
        {"runs", "", "us-east-1", Addressing::automatic, "https://runs.s3.us-east-1.amazonaws.com"},
        {"runs", "", "cn-north-1", Addressing::automatic, "https://runs.s3.cn-north-1.amazonaws.com.cn"},
        {"runs", "", "us-east-1", Addressing::path, "https://s3.us-east-1.amazonaws.com/runs"},
        // Amazon's certificate is for one level of names, and no host name has capitals or _.
        {"my.runs", "", "eu-west-1", Addressing::automatic, "https://s3.eu-west-1.amazonaws.com/my.runs"},
        {"My_Runs", "", "us-east-1", Addressing::automatic, "https://s3.us-east-1.amazonaws.com/My_Runs"},
        {"my.runs", "", "eu-west-1", Addressing::virtual_host, "https://my.runs.s3.eu-west-1.amazonaws.com"},
        {"runs", "http://localhost:9000", "", Addressing::automatic, "http://localhost:9000/runs"},
        {"runs", "http://localhost:9000", "", Addressing::virtual_host, "http://runs.localhost:9000"},
        {"runs", "https://nas/s3/", "", Addressing::automatic, "https://nas/s3/runs"},
        {"runs", "https://nas:443", "", Addressing::automatic, "https://nas/runs"},
        {"runs", "http://nas:80", "", Addressing::virtual_host, "http://runs.nas"},
        {"runs", "http://nas:443", "", Addressing::automatic, "http://nas:443/runs"},
    }));
    S3Place place;
    place.bucket = it.bucket;
    place.endpoint = it.endpoint;
    place.addressing = it.addressing;
    const S3Address address = s3_address(place, it.region);
    CHECK(address.scheme + "://" + address.host + address.path == it.url);
}

TEST_CASE("an endpoint without a scheme is refused in words") {
    S3Place place;
    place.bucket = "runs";
    place.endpoint = "minio.example.org:9000";
    CHECK_THROWS_AS(s3_address(place, ""), S3Error);
}
