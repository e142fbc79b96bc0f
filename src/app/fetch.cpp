// `poster fetch`: brings files of runs back from where copies of them are, and whole runs that are not here.

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <fetch.hpp>
#include <files.hpp>
#include <records.hpp>
#include <run_id.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "fetch_evicted.hpp"
#include "reading.hpp"
#include "series.hpp"
#include "stores.hpp"
#include "sync_view.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;
using Files = std::map<std::string, Copy>;
using Patterns = std::vector<std::string>;

bool is_record(const std::string& path) {
    return path == "run.json" || (path.starts_with("attempts/") && path.ends_with("/attempt.json") &&
                                  std::count(path.begin(), path.end(), '/') == 2);
}

// By the path, what comes after files/ or images/, the last part; a folder stands for all in it.
bool is_wanted(const std::string& path, const Patterns& patterns) {
    if (patterns.empty()) return true;
    const std::string below = path.substr(path.find('/') + 1), last = path.substr(path.rfind('/') + 1);
    return std::any_of(patterns.begin(), patterns.end(), [&](std::string pattern) {
        while (pattern.ends_with('/')) pattern.pop_back();
        return matches_any(pattern, {path, below, last}) || path.starts_with(pattern + '/');
    });
}

std::string words_of(const Delivery& trouble) {
    return trouble.error + (trouble.help.empty() ? "" : " (" + trouble.help + ")");
}

// "3 files, 1.2 MB".
std::string amount(std::size_t files, std::uint64_t bytes) {
    return fmt::format("{} {}, {}", files, files == 1 ? "file" : "files", format_bytes(bytes));
}

SyncView::Form form_of(const FetchArguments& arguments) {
    if (arguments.json) return SyncView::Form::json;
    return ::isatty(STDERR_FILENO) != 0 ? SyncView::Form::bars : SyncView::Form::lines;
}

class Fetcher {
public:
    explicit Fetcher(const FetchArguments& arguments)
        : workspace_(open_workspace(arguments.store)), places_(places_of(workspace_.settings, arguments.from)),
          jobs_(int(arguments.jobs.value_or(std::size_t(std::max(1L, workspace_.settings.integer("sync.jobs")))))),
          json_(arguments.json), view_(form_of(arguments), SyncView::Way::from) {}

    const Workspace& workspace() const { return workspace_; }

    // Of a run that is in the store: what is missing here. False: not all of it could be brought.
    bool into_run(const std::string& id, const Patterns& patterns) {
        const fs::path dir = workspace_.store.run_dir(id);
        auto lease = Lease::acquire(dir / "outbox" / "lease", "fetch");
        if (!lease) throw Error(fmt::format("another process fetches run {} already", id));
        std::map<std::string, Delivery> left;
        std::set<std::string> here;
        std::string why;
        std::size_t brought = 0;
        for (const auto& place : places_) {
            Manifest there = files_at(place, id, dir, why);
            std::erase_if(there.files, [&](const auto& file) {
                return !is_wanted(file.first, patterns) || here.contains(file.first);
            });
            if (there.files.empty()) continue;
            Fetched fetched = fetch_files(dir, id, place, there, jobs_, *lease, view_);
            end(id, place, fetched);
            note_fetched(dir, place, fetched.here);
            brought += fetched.files;
            for (const auto& file : fetched.here) here.insert(file.first);
            left.merge(fetched.left);
        }
        std::erase_if(left, [&](const auto& file) { return here.contains(file.first); });
        for (const auto& [path, file] : Outbox(dir).evicted())
            if (is_wanted(path, patterns) && !left.contains(path))
                left[path] = Delivery::permanent("it was last at " + file.destination, "");
        if (here.empty() && left.empty())
            throw Error(why.empty() ? fmt::format("no copy of run {} has such files", id)
                                    : fmt::format("cannot fetch run {}: {}", id, why));
        if (brought == 0 && left.empty() && !json_) say(fmt::format("nothing of run {} was missing here", id));
        return left.empty();
    }

    // A whole run that is not in the store.
    bool new_run(const Place& place, const std::string& id, const Patterns& patterns) {
        const Store& store = workspace_.store;
        ensure_store(store);
        const fs::path place_of_its_own = store.dir() / "fetching" / id, stage = place_of_its_own / "run";
        auto lease = Lease::acquire(place_of_its_own / "lease", "fetch");
        if (!lease) {
            say(fmt::format("another process fetches run {} already", id), true);
            return false;
        }
        make_directories(stage);
        ManifestThere there = manifest_there(place, id, stage);
        if (!there.manifest) return refuse(id, words_of(there.trouble));
        if (!there.manifest->files.contains("run.json")) return refuse(id, "its manifest has no run.json");
        const Files rest = take_out_the_rest(*there.manifest, patterns);
        const Fetched fetched = fetch_files(stage, id, place, *there.manifest, jobs_, *lease, view_);
        end(id, place, fetched);
        const bool later = std::any_of(fetched.left.begin(), fetched.left.end(),
                                       [](const auto& file) { return file.second.state == Delivery::State::retry; });
        if (later) return refuse(id, "not all of it came; the same command goes on where this one stopped");
        if (!is_whole(stage, id)) return refuse(id, "its records are not those of a run");
        write_down(stage, place, fetched, rest);
        admit(stage, id);
        std::error_code ignored;
        fs::remove_all(place_of_its_own, ignored);
        return fetched.left.empty();
    }

    // Every run that is at a remote and not here.
    bool all(const Patterns& patterns) {
        std::set<std::string> known;
        bool good = true;
        std::string why;
        std::size_t listed = 0;
        for (const auto& place : places_) {
            const auto ids = runs_at(place, why);
            if (!ids) {
                good = false;
                continue;
            }
            ++listed;
            for (const auto& id : *ids)
                if (known.insert(id).second && !is_here(id)) good = new_run(place, id, patterns) && good;
        }
        if (listed == 0) throw Error("cannot fetch: " + why);
        if (!good && !why.empty()) say(why, true);
        if (known.empty() && !json_) say("no run is there");
        return good;
    }

    // The run that a word means at a remote: an id, or the beginning or end of one alone.
    std::pair<const Place*, std::string> find_there(const std::string& word,
                                                    const std::optional<UsageError>& why_not_here) {
        std::string why;
        for (const auto& place : places_) {
            std::vector<std::string> found;
            for (const auto& id : runs_at(place, why).value_or(std::vector<std::string>{})) {
                if (id == word) return {&place, id};
                if (id.starts_with(word) || id.ends_with(word)) found.push_back(id);
            }
            if (found.size() == 1) return {&place, found.front()};
            if (found.size() > 1)
                throw UsageError(fmt::format("'{}' fits several runs at {}", word, place.destination),
                                 "such as " + found[0] + " and " + found[1]);
        }
        if (!why.empty()) throw Error(fmt::format("no run '{}' is here, and {}", word, why));
        if (why_not_here) throw *why_not_here;
        throw UsageError(fmt::format("no run '{}' is here or at {}", word, places_.front().destination));
    }

private:
    bool is_here(const std::string& id) const {
        std::error_code failure;
        return fs::exists(workspace_.store.run_dir(id), failure) ||
               fs::exists(workspace_.store.dir() / "trash" / id, failure); // removed on purpose
    }

    std::optional<std::vector<std::string>> runs_at(const Place& place, std::string& why) const {
        try {
            auto ids = place.remote->list("runs");
            std::erase_if(ids, [](const std::string& id) { return !is_run_id(id); });
            return ids;
        } catch (const Error& error) {
            why = fmt::format("{} cannot be asked: {}", place.destination, error.what());
            return std::nullopt;
        }
    }

    static ManifestThere manifest_there(const Place& place, const std::string& id, const fs::path& dir) {
        const Scratch scratch(dir);
        return manifest_at(*place.remote, id, scratch.path() / ".manifest.tmp");
    }

    // By its manifest; where there is none, as this store's own notes have it.
    static Manifest files_at(const Place& place, const std::string& id, const fs::path& dir, std::string& why) {
        const ManifestThere there = manifest_there(place, id, dir);
        if (there.manifest) return *there.manifest;
        why = words_of(there.trouble);
        return {Outbox(dir).view(place.callback).copies[place.destination]};
    }

    // What need not come now. One that was about to be replaced does: what is there of it cannot be told without.
    static Files take_out_the_rest(Manifest& manifest, const Patterns& patterns) {
        Files rest;
        std::erase_if(manifest.files, [&](const auto& file) {
            const auto& path = file.first;
            if (is_record(path) || is_wanted(path, patterns) || manifest.coming.contains(path)) return false;
            rest.insert(file);
            return true;
        });
        return rest;
    }

    void end(const std::string& id, const Place& place, const Fetched& fetched) {
        Delivery whole = Delivery::arrived();
        for (const auto& [path, trouble] : fetched.left)
            if (whole.error.empty() || trouble.state == Delivery::State::retry) whole = trouble;
        view_.copies_end(id, place.callback, place.destination, whole);
    }

    static bool refuse(const std::string& id, const std::string& why) {
        say(fmt::format("run {}: {}", id, why), true);
        return false;
    }

    static bool is_whole(const fs::path& stage, const std::string& id) {
        const auto run = read_json(stage / "run.json");
        return run && run->is_object() && text_of(*run, "id") == id;
    }

    // So that a later sync sends nothing again, and everybody knows where the rest is.
    static void write_down(const fs::path& stage, const Place& place, const Fetched& fetched, const Files& rest) {
        make_directories(stage / "outbox");
        const Outbox outbox(stage);
        OutboxNotes notes(outbox, place.callback);
        std::map<std::string, Evicted> left_there;
        Manifest there{fetched.here};
        there.files.insert(rest.begin(), rest.end());
        for (const auto& [path, copy] : there.files) notes.copied(place.destination, path, copy);
        for (const auto& [path, copy] : rest) left_there[path] = {place.callback, place.destination, copy};
        outbox.note_evicted(left_there);
        if (fetched.left.empty()) notes.copying(place.destination, Delivery::arrived(digest_of(there)), 0, WallTime{});
    }

    // Into the store, at once and as a whole.
    void admit(const fs::path& stage, const std::string& id) const {
        const fs::path dir = workspace_.store.run_dir(id);
        // One that went on when it was copied: whether it is lost is for recovery to find out. Before it is there, so
        // that no kill can come between; a mark without a run is forgotten.
        const auto attempts = read_attempts(stage);
        if (!attempts.empty() && !outcome_from_json(attempts.back().second)) workspace_.store.mark_active(id);
        const int moved = ::renameat2(AT_FDCWD, stage.c_str(), AT_FDCWD, dir.c_str(), RENAME_NOREPLACE);
        if (moved != 0 && errno == EEXIST) throw Error(fmt::format("run {} has come into the store meanwhile", id));
        // Not every file system knows that flag; a run that is there is no empty folder, which this would replace.
        if (moved != 0) check_syscall("move run " + id + " into the store", ::rename(stage.c_str(), dir.c_str()));
    }

    Workspace workspace_;
    std::vector<Place> places_;
    int jobs_;
    bool json_;
    SyncView view_;
};

// nullopt: none is here that the word means; `why` says it.
std::optional<std::string> run_here(const std::optional<std::string>& store, const std::string& word,
                                    std::optional<UsageError>& why) {
    const Reading reading = read_store(store);
    if (!reading.index) return std::nullopt;
    try {
        return reading.index->find(word).id;
    } catch (const UsageError& error) {
        why = error;
        return std::nullopt;
    }
}

// Nothing is shown of it.
class Unseen : public SyncObserver {
public:
    void file_done(const std::string&, const std::string&, const std::string&, std::uint64_t,
                   const Delivery&) override {}
    void message_done(const std::string&, const std::string&, const std::string&, const Delivery&) override {}
};

const Place& place_of(const std::vector<Place>& places, const std::string& id, const Evicted& file) {
    for (const auto& place : places)
        if (place.destination == file.destination) return place;
    throw Error(
        fmt::format("files of run {} are at {}, and {} is set up to be elsewhere", id, file.destination, file.callback),
        "set it to where they are, or `poster fetch " + id + "` from another copy");
}

} // namespace

int fetch_runs(const FetchArguments& arguments) {
    if (arguments.all) return Fetcher(arguments).all(arguments.words) ? 0 : 1;
    const std::string& word = arguments.words.front();
    const Patterns patterns(arguments.words.begin() + 1, arguments.words.end());
    std::optional<UsageError> why_not_here;
    const auto id = run_here(arguments.store, word, why_not_here);
    Fetcher fetcher(arguments);
    if (id) return fetcher.into_run(*id, patterns) ? 0 : 1;
    const auto [place, found] = fetcher.find_there(word, why_not_here);
    return fetcher.new_run(*place, found, patterns) ? 0 : 1;
}

void fetch_evicted(const Workspace& workspace, const std::string& id, const std::string& folder) {
    const fs::path dir = workspace.store.run_dir(id);
    std::map<std::pair<std::string, std::string>, Files> wanted; // by callback and destination
    std::map<std::string, Evicted> evicted = Outbox(dir).evicted();
    std::erase_if(evicted, [&](const auto& file) { return !file.first.starts_with(folder + '/'); });
    for (const auto& [path, file] : evicted) wanted[{file.callback, file.destination}][path] = file.copy;
    for (const auto& [where, files] : wanted) {
        const auto places = places_of(workspace.settings, where.first);
        const Place& place = place_of(places, id, evicted.at(files.begin()->first));
        std::uint64_t bytes = 0;
        for (const auto& file : files) bytes += file.second.bytes;
        say(fmt::format("fetching {} of run {} from {}", amount(files.size(), bytes), id, place.destination));
        auto lease = Lease::acquire(dir / "outbox" / "lease", "fetch");
        if (!lease) throw Error(fmt::format("another process fetches files of run {} already", id));
        Unseen unseen;
        const Fetched fetched = fetch_files(dir, id, place, {files},
                                            int(std::max(1L, workspace.settings.integer("sync.jobs"))), *lease, unseen);
        if (fetched.left.empty()) continue;
        const auto& [path, why] = *fetched.left.begin();
        throw Error(fmt::format("{} of run {} is at {} and cannot be fetched: {}", printable(path), id,
                                place.destination, why.error),
                    why.help);
    }
}

} // namespace poster
