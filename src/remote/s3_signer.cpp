#include "s3_signer.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <clock.hpp>
#include <sha256.hpp>

namespace poster {

namespace {

bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '~';
}

// Without spaces around, runs of them inside made one.
std::string trimmed(std::string_view value) {
    std::string result;
    for (const char c : value) {
        const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
        if (!space)
            result += c;
        else if (!result.empty() && result.back() != ' ')
            result += ' ';
    }
    if (!result.empty() && result.back() == ' ') result.pop_back();
    return result;
}

// By name in lower case; the values of a name that is there several times joined.
std::map<std::string, std::string> canonical_headers(const Pairs& headers) {
    std::map<std::string, std::string> result;
    for (const auto& [name, value] : headers) {
        std::string lower = name;
        for (char& c : lower) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
        const auto [place, is_new] = result.emplace(std::move(lower), trimmed(value));
        if (!is_new) place->second += "," + trimmed(value);
    }
    return result;
}

std::string signed_names(const Pairs& headers) {
    std::string names;
    for (const auto& [name, value] : canonical_headers(headers)) names += (names.empty() ? "" : ";") + name;
    return names;
}

} // namespace

std::string uri_encode(std::string_view text, Slashes slashes) {
    std::string result;
    for (const char c : text) {
        if (is_unreserved(c) || (c == '/' && slashes == Slashes::kept))
            result += c;
        else
            result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return result;
}

std::string canonical_query(const Pairs& query) {
    Pairs encoded;
    for (const auto& [name, value] : query)
        encoded.emplace_back(uri_encode(name, Slashes::encoded), uri_encode(value, Slashes::encoded));
    std::sort(encoded.begin(), encoded.end());
    std::string result;
    for (const auto& [name, value] : encoded) result += (result.empty() ? "" : "&") + name + "=" + value;
    return result;
}

std::string canonical_request(const RequestToSign& request) {
    std::string headers;
    for (const auto& [name, value] : canonical_headers(request.headers)) headers += name + ":" + value + "\n";
    return request.method + "\n" + request.path + "\n" + canonical_query(request.query) + "\n" + headers + "\n" +
           signed_names(request.headers) + "\n" + request.payload_sha256;
}

std::string amz_date(WallTime time) {
    std::string text = compact_utc(time); // 20130524-000000
    text[8] = 'T';
    return text + "Z";
}

std::string authorization(const RequestToSign& request, const AwsCredentials& credentials, const SigningScope& scope) {
    const std::string time = amz_date(scope.time), date = time.substr(0, 8);
    const std::string place = date + "/" + scope.region + "/" + scope.service + "/aws4_request";
    const std::string text = "AWS4-HMAC-SHA256\n" + time + "\n" + place + "\n" + sha256_hex(canonical_request(request));
    std::string key = "AWS4" + credentials.secret_key;
    for (const std::string& word : {date, scope.region, scope.service, std::string{"aws4_request"}})
        key = hmac_sha256(key, word);
    return "AWS4-HMAC-SHA256 Credential=" + credentials.access_key + "/" + place +
           ", SignedHeaders=" + signed_names(request.headers) + ", Signature=" + hex(hmac_sha256(key, text));
}

} // namespace poster
