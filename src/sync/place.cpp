#include "place.hpp"

#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>
#include <registry.hpp>

namespace poster {

namespace {

constexpr std::string_view kScratch = ".fetch-";
constexpr std::uint64_t kLargestManifest = 256 << 20;

// Of one manifest. Whoever is at the remote may have put anything in its place.
class OneManifest : public Progress {
public:
    void moved(std::size_t, std::uint64_t bytes) override { bytes_ += bytes; }
    void done(std::size_t, const Delivery& delivery) override { delivery_ = delivery; }
    bool cancelled() const override { return bytes_ > kLargestManifest; }
    int jobs() const override { return 1; }
    const Delivery& delivery() const { return delivery_; }

private:
    std::atomic<std::uint64_t> bytes_{0};
    Delivery delivery_ = Delivery::passing("it gave no answer");
};

} // namespace

std::vector<Place> places_of(const Settings& settings, const std::string& from) {
    std::vector<Place> places;
    std::string known, why;
    bool is_known = false;
    for (const auto* entry : registry()) {
        if (!entry->hooks.remote) continue;
        known += (known.empty() ? "" : ", ") + entry->name;
        if (!from.empty() && entry->name != from) continue;
        is_known = true;
        const Activation activation = activation_of(*entry, settings);
        if (!activation.on) {
            why += fmt::format("{}{} is off: {}", why.empty() ? "" : "; ", entry->name, activation.reason);
            continue;
        }
        Place place;
        place.callback = entry->name;
        place.owner = entry->create(settings);
        place.remote = place.owner->remote();
        place.destination = place.remote->destination();
        places.push_back(std::move(place));
    }
    if (!is_known) throw UsageError(fmt::format("no callback '{}' keeps copies of runs", from), "they are: " + known);
    if (places.empty()) throw Error("no remote is set up here: " + why, "`poster config` shows the settings");
    return places;
}

std::optional<Lease> lease_of_copies(const Outbox& outbox, const std::string& callback) {
    return Lease::acquire(outbox.dir() / "lease", callback + "-copies");
}

ManifestThere manifest_at(Remote& remote, const std::string& run, const fs::path& draft) {
    ManifestThere there;
    const RemoteFile file{manifest_path(run), draft, 0, {}};
    OneManifest progress;
    try {
        remote.get({&file, 1}, progress);
        there.trouble = progress.delivery();
    } catch (const Error& error) {
        there.trouble = Delivery::passing(error.what());
        there.trouble.help = error.help();
    }
    std::error_code failure;
    if (progress.cancelled()) {
        fs::remove(file.local, failure);
        there.trouble = Delivery::permanent("its manifest is larger than any that poster writes", "");
    }
    if (there.trouble.state != Delivery::State::delivered) return there;
    const std::string text = read_file(file.local).value_or("");
    fs::remove(file.local, failure);
    there.manifest = manifest_from_json(text);
    if (!there.manifest)
        there.trouble = Delivery::permanent(
            fmt::format("{}/{} is no manifest that this poster knows", remote.destination(), file.path),
            "a newer poster may have written it");
    return there;
}

Scratch::Scratch(const fs::path& parent) {
    std::string name = (parent / kScratch).native() + "XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw_errno("make a folder in " + parent.native(), errno);
    path_ = name;
}

Scratch::~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

void Scratch::remove_left_behind(const fs::path& parent) noexcept {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(parent, ignored))
        if (entry.path().filename().native().starts_with(kScratch)) fs::remove_all(entry.path(), ignored);
}

} // namespace poster
