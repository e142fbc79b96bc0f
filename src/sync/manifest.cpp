#include "manifest.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <records.hpp>
#include <sha256.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr int kManifestFormat = 1;

json content_of(const Copy& copy) {
    return {{"bytes", copy.bytes}, {"sha256", copy.sha256}, {"modified_ns", copy.modified_ns}};
}

// nullopt: that is none.
std::optional<Copy> copy_of(const json& content) {
    if (!content.is_object()) return std::nullopt;
    const auto bytes = content.find("bytes");
    const auto modified = content.find("modified_ns");
    if (bytes == content.end() || !bytes->is_number_unsigned()) return std::nullopt;
    const auto time = modified != content.end() && modified->is_number_integer() ? modified->get<std::int64_t>() : 0;
    return Copy{bytes->get<std::uint64_t>(), time, text_of(content, "sha256"), {}};
}

} // namespace

std::string digest_of(const Manifest& manifest) {
    return sha256_hex(to_json(manifest));
}

std::string manifest_path(const std::string& run) {
    return fmt::format("runs/{}/{}", run, kManifestName);
}

std::string to_json(const Manifest& manifest) {
    json files = json::array();
    for (const auto& [path, copy] : manifest.files) {
        json& file = files.emplace_back(content_of(copy));
        file["path"] = path;
        if (const auto coming = manifest.coming.find(path); coming != manifest.coming.end())
            for (const auto& one : coming->second) file["coming"].push_back(content_of(one));
    }
    return json{{"format", kManifestFormat}, {"files", files}}.dump(1, ' ', false, json::error_handler_t::replace) +
           '\n';
}

std::optional<Manifest> manifest_from_json(const std::string& text) {
    const json parsed = json::parse(text, nullptr, false);
    if (!parsed.is_object() || parsed.value("format", json{}) != kManifestFormat) return std::nullopt;
    Manifest manifest;
    const json& files = member(parsed, "files");
    for (const auto& file : files) {
        const auto copy = copy_of(file);
        if (!copy) return std::nullopt;
        const std::string path = text_of(file, "path");
        if (path.empty()) return std::nullopt;
        manifest.files[path] = *copy;
        for (const auto& one : member(file, "coming"))
            if (const auto coming = copy_of(one)) manifest.coming[path].push_back(*coming);
    }
    return manifest;
}

} // namespace poster
