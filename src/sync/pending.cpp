#include "pending.hpp"

#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <set>

#include <error.hpp>
#include <files.hpp>
#include <registry.hpp>

#include "manifest.hpp"

namespace poster {

namespace {

bool matches_any(const std::vector<std::string>& globs, const std::string& path) {
    return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
        if (::fnmatch(glob.c_str(), path.c_str(), 0) == 0) return true;
        // A folder's name stands for what is in it; one without a slash for a file of that name anywhere.
        if (path.starts_with(glob) && (glob.ends_with('/') || path[glob.size()] == '/')) return true;
        return glob.find('/') == std::string::npos &&
               ::fnmatch(glob.c_str(), path.c_str() + path.rfind('/') + 1, 0) == 0;
    });
}

bool is_half_written(const std::string& name) {
    return name.starts_with('.') && name.ends_with(".tmp");
}

bool is_own_folder(const std::string& path) {
    return path == "outbox" || path == "worktree";
}

using VisitFile = std::function<void(const std::string& path, const struct stat& facts)>;

// The regular files below `root`. What goes away meanwhile, or is another's alone, is passed over.
void each_file(const fs::path& root, const std::string& folder, const VisitFile& visit) {
    std::error_code failure;
    fs::directory_iterator entry(root / folder, fs::directory_options::skip_permission_denied, failure);
    for (; !failure && entry != fs::directory_iterator(); entry.increment(failure)) {
        const std::string name = entry->path().filename().native();
        const std::string path = folder.empty() ? name : folder + '/' + name;
        struct stat facts{};
        if (::lstat(entry->path().c_str(), &facts) != 0) continue;
        if (S_ISREG(facts.st_mode)) visit(path, facts);
        if (S_ISDIR(facts.st_mode) && !is_own_folder(path)) each_file(root, path, visit);
    }
    if (failure && failure != std::errc::no_such_file_or_directory && failure != std::errc::not_a_directory)
        throw_errno("read the folder " + (root / folder).native(), failure.value());
}

} // namespace

bool stays_here(const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    if (path == "manifest.json" || is_half_written(name) || is_own_folder(path.substr(0, path.find('/')))) return true;
    const bool of_attempt = path.starts_with("attempts/") && std::count(path.begin(), path.end(), '/') == 2;
    return of_attempt && (name == "lock" || name == "heartbeat" || name.starts_with("claim."));
}

std::vector<LocalFile> files_to_copy(const fs::path& run_dir, const Settings& settings) {
    const auto include = settings.list("upload.include");
    const auto exclude = settings.list("upload.exclude");
    std::vector<LocalFile> files;
    each_file(run_dir, {}, [&](const std::string& path, const struct stat& facts) {
        if (stays_here(path) || !matches_any(include, path) || matches_any(exclude, path)) return;
        files.push_back({path, std::uint64_t(facts.st_size), modified_ns(facts)});
    });
    std::sort(files.begin(), files.end(), [](const auto& one, const auto& other) { return one.path < other.path; });
    return files;
}

std::vector<LocalFile> not_copied_yet(std::vector<LocalFile> files, const std::map<std::string, Copy>& copies) {
    std::erase_if(files, [&](const LocalFile& file) {
        const auto copy = copies.find(file.path);
        return copy != copies.end() && copy->second.bytes == file.bytes && copy->second.modified_ns == file.modified_ns;
    });
    return files;
}

bool Pending::failed() const {
    using Stage = DeliveryState::Stage;
    if (copies_due() && copying.stage == Stage::failed) return true;
    return std::any_of(messages.begin(), messages.end(),
                       [](const auto& message) { return message.state.stage == Stage::failed; });
}

const CallbackEntry* find_callback(const std::string& name) {
    for (const auto* entry : registry())
        if (entry->name == name) return entry;
    return nullptr;
}

std::vector<Pending> pending_of(const Store& store, const std::string& id, const Settings& settings,
                                const std::vector<std::string>& asked) {
    std::vector<Pending> all;
    const fs::path dir = store.run_dir(id);
    const Outbox outbox(dir);
    std::optional<std::vector<LocalFile>> files; // one walk for all
    std::set<std::string> names(asked.begin(), asked.end());
    for (auto& name : outbox.callbacks()) names.insert(std::move(name));
    for (const auto& name : names) {
        Pending pending;
        pending.callback = name;
        const CallbackEntry* entry = find_callback(name);
        const Activation activation =
            entry ? activation_of(*entry, settings) : Activation{false, "this poster has no callback of that name"};
        pending.on = activation.on;
        pending.off_reason = activation.reason;
        OutboxView view = outbox.view(name);
        for (auto& message : view.messages)
            if (message.state.stage != DeliveryState::Stage::delivered) pending.messages.push_back(std::move(message));
        const bool copies_wanted = view.copies_wanted || std::find(asked.begin(), asked.end(), name) != asked.end();
        if (copies_wanted && pending.on && entry->hooks.remote) {
            if (!files) files = files_to_copy(dir, settings);
            pending.destination = entry->create(settings)->remote()->destination();
            const auto& copies = view.copies[pending.destination];
            pending.files = not_copied_yet(*files, copies);
            pending.copying = view.copying[pending.destination];
            pending.manifest_due = !copies.empty() && pending.copying.receipt != digest_of(Manifest{copies});
        }
        all.push_back(std::move(pending));
    }
    return all;
}

} // namespace poster
