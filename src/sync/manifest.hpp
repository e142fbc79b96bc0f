#pragma once
// What a remote has of a run, by its own file there.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <outbox.hpp>

namespace poster {

constexpr const char* kManifestName = "manifest.json";

// Of files that are about to be replaced, by path: what may stand there already.
using Coming = std::map<std::string, std::vector<Copy>>;

// Files' paths are foreign input where it was fetched.
struct Manifest {
    std::map<std::string, Copy> files; // by path below the run directory
    Coming coming = {};                // of these
};
std::string manifest_path(const std::string& run); // at the remote: "runs/ID/manifest.json"
std::string to_json(const Manifest& manifest);
std::string digest_of(const Manifest& manifest);                     // of its JSON, SHA-256
std::optional<Manifest> manifest_from_json(const std::string& text); // nullopt: none of a version that is known

} // namespace poster
