#include "s3_address.hpp"

namespace poster {

namespace {

bool may_be_a_host_name(const std::string& bucket) {
    return bucket.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

} // namespace

S3Address s3_address(const S3Place& place, const std::string& region) {
    std::string endpoint = place.endpoint;
    if (endpoint.empty()) {
        endpoint = "https://s3." + region + ".amazonaws.com";
        if (region.starts_with("cn-")) endpoint += ".cn";
    }
    S3Address address;
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

} // namespace poster
