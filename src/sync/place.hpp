#pragma once
// The remotes that are set up here, and small questions to them.

#include <memory>
#include <string>
#include <vector>

#include <lease.hpp>
#include <poster/callback.hpp>
#include <poster/settings.hpp>

#include "manifest.hpp"

namespace poster {

struct Place {
    std::string callback;
    std::string destination;
    std::unique_ptr<Callback> owner;
    std::unique_ptr<Remote> remote;
};

// Those that are on, in the order of the registry; with `from` that callback's alone. Throws UsageError where there is
// no such callback, Error where none is on.
std::vector<Place> places_of(const Settings& settings, const std::string& from);

struct ManifestThere {
    std::optional<Manifest> manifest;
    Delivery trouble; // why there is none
};
// `draft`: a file for it. Also where its text is none that is known: that is the trouble then.
ManifestThere manifest_at(Remote& remote, const std::string& run, const std::filesystem::path& draft);

// Held by whoever notes what a destination has of the run. nullopt: another process has it. Throws Error.
std::optional<Lease> lease_of_copies(const Outbox& outbox, const std::string& callback);

// A folder of its own in `parent`, which is gone with this object.
class Scratch {
public:
    explicit Scratch(const std::filesystem::path& parent); // throws Error
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch();
    const std::filesystem::path& path() const { return path_; }
    // What a process that was killed has left there.
    static void remove_left_behind(const std::filesystem::path& parent) noexcept;

private:
    std::filesystem::path path_;
};

} // namespace poster
