#include <algorithm>

#include <fmt/format.h>
#include <pugixml.hpp>

#include <clock.hpp>
#include <sha256.hpp>

#include "base64.hpp"
#include "s3_call.hpp"
#include "s3_etag.hpp"

namespace poster {

namespace {

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

pugi::xml_document parsed(const HttpResponse& response, const std::string& what) {
    pugi::xml_document document;
    if (!document.load_buffer(response.body.data(), response.body.size()))
        throw S3Error(what + ": the answer is not XML", "see whether s3.endpoint is that of S3",
                      S3Error::Kind::permanent_everywhere);
    return document;
}

} // namespace

std::optional<S3Object> S3Client::head(const std::string& key) {
    const Call call{"HEAD", key, {}, {{"x-amz-checksum-mode", "ENABLED"}}, {}, nullptr, nullptr, false};
    try {
        const HttpResponse response = perform(call);
        S3Object object;
        object.bytes = std::strtoull(response.header("content-length").c_str(), nullptr, 10);
        object.etag = response.header("etag");
        object.noted_sha256 = response.header("x-amz-meta-sha256");
        object.checksum = response.header("x-amz-checksum-sha256");
        object.sha256 = hex_of_base64(object.checksum);
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

// Whether the answer says that what arrived is what was sent: by its SHA-256, or, of older servers, by its MD5.
bool S3Client::proves(const HttpResponse& response, const S3Slice& slice) const {
    if (!response.header("x-amz-checksum-sha256").empty()) return true;
    return session_.etag_is_md5 && etag_is_of(response.header("etag"), slice);
}

std::string S3Client::sha256_of(const std::string& key) {
    Sha256 hash;
    const S3Sink sink{[&](std::string_view bytes) { hash.update(bytes); }, [&] { hash = Sha256{}; }};
    get(key, {}, sink);
    return hash.hex();
}

std::string S3Client::put(const std::string& key, const S3Slice& slice, const std::string& file_sha256) {
    Call call{"PUT", key, {}, {{"x-amz-meta-sha256", file_sha256}}, {}, &slice, nullptr, true};
    if (const std::string& name = session_.place().storage_class; !name.empty())
        call.headers.emplace_back("x-amz-storage-class", name);
    const HttpResponse response = perform(call);
    const std::string etag = checked_etag(call, response, slice);
    if (proves(response, slice)) return etag;
    if (sha256_of(key) != slice.sha256)
        throw S3Error(call.what(session_.place()) + ": other bytes arrived than were sent", {}, S3Error::Kind::passing);
    session_.etag_is_md5 = false;
    return etag;
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
    Call call{"POST", key, {{"uploads", ""}}, {}, {}, nullptr, nullptr, true};
    if (!file_sha256.empty()) call.headers.emplace_back("x-amz-meta-sha256", file_sha256);
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
            hex_of_base64(response.header("x-amz-checksum-sha256")), proves(response, slice)};
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
                             hex_of_base64(part.child_value("ChecksumSHA256")), true});
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
        if (!part.sha256.empty())
            body += "<ChecksumSHA256>" + to_base64(bytes_of_hex(part.sha256)) + "</ChecksumSHA256>";
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
