// `poster files`: what a run saved, as its events tell and as it lies in its directory.

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <poster/event.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <outbox.hpp>
#include <records.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "event_files.hpp"
#include "reading.hpp"
#include "run_words.hpp"
#include "series.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr auto kWholeFile = std::numeric_limits<std::uint64_t>::max();

struct SavedFile {
    std::string path; // below the run directory
    std::string name, kind, caption;
    std::optional<std::uint64_t> bytes; // of a folder: of all that is in it
    std::optional<std::int64_t> step;
    std::optional<WallTime> time;
    std::size_t files = 0; // of a folder
    bool folder = false, is_there = true;
    std::string at{}; // the callback whose remote has it, where it is not here
};
using SavedFiles = std::map<std::string, SavedFile>;

// Size and time as they are; of a folder the files in it together.
void look_at(const fs::path& run_dir, SavedFile& file) {
    struct stat facts{};
    file.is_there = ::lstat((run_dir / file.path).c_str(), &facts) == 0;
    if (!file.is_there) return;
    if (!file.time) file.time = wall_time(facts.st_mtim);
    file.folder = S_ISDIR(facts.st_mode);
    if (!file.folder) {
        file.bytes = std::uint64_t(facts.st_size);
        return;
    }
    std::uint64_t bytes = 0;
    file.files = 0;
    std::error_code failure;
    for (fs::recursive_directory_iterator it(run_dir / file.path, failure), end; it != end && !failure;
         it.increment(failure)) {
        if (!it->is_regular_file(failure)) continue;
        bytes += it->file_size(failure);
        ++file.files;
    }
    file.bytes = bytes;
}

std::optional<std::int64_t> whole_of(const json& record, const char* key) {
    const auto found = record.find(key);
    if (found == record.end() || !found->is_number_integer()) return std::nullopt;
    return found->get<std::int64_t>();
}

// What was saved under one name again is told by its last event.
void take_event(const Event& event, SavedFiles& files) {
    if (event.kind() != "file" && event.kind() != "image") return;
    const json& data = event.data();
    const std::string path = fs::path(text_of(data, "path")).lexically_normal().string();
    if (path.empty() || path.starts_with("/") || path.starts_with("..")) return; // not of this run
    SavedFile file{path, text_of(data, "name"), std::string(event.kind()), text_of(data, "caption"), {}, {}, {}};
    if (const auto bytes = whole_of(data, "bytes")) file.bytes = std::uint64_t(*bytes);
    file.step = whole_of(data, "step");
    if (data.contains("time")) file.time = event.time();
    file.folder = data.value("directory", json(false)) == true;
    SavedFile& known = files[path];
    if (known.path.empty() || !known.time || !file.time || *known.time <= *file.time) known = std::move(file);
}

void take_events(const fs::path& run_dir, SavedFiles& files) {
    for (int number = 1, newest = newest_attempt(run_dir); number <= newest; ++number)
        for (const auto& log : event_files(run_dir / "attempts" / std::to_string(number)))
            for_each_line(log, 0, kWholeFile, [&](std::string_view line) {
                if (line.front() == '{') take_event(Event(line, ""), files);
            });
}

// Files below `folder` that no event tells of, nor one about a folder that they lie in.
void take_directory(const fs::path& run_dir, const std::string& folder, SavedFiles& files) {
    const fs::path top = folder.empty() ? run_dir : run_dir / folder;
    std::error_code failure;
    for (fs::recursive_directory_iterator it(top, failure), end; it != end && !failure; it.increment(failure)) {
        const std::string path = it->path().lexically_relative(run_dir).string();
        if (files.contains(path)) {
            if (files.at(path).folder) it.disable_recursion_pending();
            continue;
        }
        if (it->is_directory(failure) && !it->is_symlink(failure)) continue;
        const std::string name = it->path().lexically_relative(top).string();
        files[path] = SavedFile{path, name, folder == "images" ? "image" : "file", "", {}, {}, {}};
    }
}

// What was taken away here as a remote has it; in folders that an event tells of as well.
void take_evicted(const fs::path& run_dir, bool all, SavedFiles& files) {
    for (const auto& [path, evicted] : Outbox(run_dir).evicted()) {
        if (!all && !path.starts_with("files/") && !path.starts_with("images/")) continue;
        SavedFile file{path,
                       path.substr(all ? 0 : path.find('/') + 1),
                       path.starts_with("images/") ? "image" : "file",
                       "",
                       evicted.copy.bytes,
                       {},
                       {}};
        SavedFile& known = files.try_emplace(path, std::move(file)).first->second;
        known.at = evicted.callback;
        if (!known.bytes) known.bytes = evicted.copy.bytes;
        if (!known.time) known.time = WallTime{Milliseconds{evicted.copy.modified_ns / 1'000'000}};
    }
}

bool is_wanted(const SavedFile& file, const std::vector<std::string>& patterns) {
    const std::string last = fs::path(file.path).filename().string();
    return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
               return matches_any(pattern, {file.name, file.path, last});
           });
}

std::string files_table(const std::vector<SavedFile>& files) {
    const WallTime now = wall_now();
    Table table({{"NAME", 8}, {"SIZE", 0, true}, {"STEP", 0, true}, {"SAVED"}, {"PATH", 8}});
    for (const auto& file : files) {
        std::string size = file.bytes ? format_bytes(*file.bytes) : "";
        if (file.folder) size += fmt::format(" in {}", file.files);
        if (!file.is_there) size = file.at.empty() ? "gone" : fmt::format("{} at {}", size, file.at);
        table.add({{printable(file.name), Colour::bold},
                   {size, file.is_there ? Colour::none : Colour::yellow},
                   {file.step ? std::to_string(*file.step) : ""},
                   {file.time ? format_ago(*file.time, now) : ""},
                   {printable(file.path + (file.folder ? "/" : "")), Colour::dim}});
    }
    return table.render(stdout_terminal());
}

template <typename Value>
ordered_json or_null(const std::optional<Value>& value) {
    return value ? ordered_json(*value) : ordered_json(nullptr);
}

std::string files_json(const std::vector<SavedFile>& files, const fs::path& run_dir) {
    ordered_json out = ordered_json::array();
    for (const auto& file : files) {
        ordered_json& one = out.emplace_back();
        one["name"] = file.name;
        one["kind"] = file.kind;
        one["path"] = file.path;
        one["file"] = (run_dir / file.path).string();
        one["bytes"] = or_null(file.bytes);
        one["step"] = or_null(file.step);
        one["time"] = file.time ? ordered_json(iso8601(*file.time)) : ordered_json(nullptr);
        if (!file.caption.empty()) one["caption"] = file.caption;
        one["directory"] = file.folder;
        one["exists"] = file.is_there;
        if (!file.at.empty()) one["at"] = file.at;
    }
    return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

} // namespace

int list_files(const FilesArguments& arguments) {
    const Reading reading = read_existing_store(arguments.store);
    const auto [runs, patterns] = split_run_words(reading, arguments.words, 1);
    const fs::path run_dir = reading.workspace.store.run_dir(runs.front().id);
    SavedFiles saved;
    take_events(run_dir, saved);
    if (arguments.all) {
        take_directory(run_dir, "", saved);
    } else {
        take_directory(run_dir, "files", saved);
        take_directory(run_dir, "images", saved);
    }
    take_evicted(run_dir, arguments.all, saved);
    std::vector<SavedFile> files;
    for (auto& [path, file] : saved) {
        if (!is_wanted(file, patterns)) continue;
        look_at(run_dir, file);
        files.push_back(std::move(file));
    }
    if (arguments.json)
        print_out(files_json(files, run_dir));
    else if (files.empty())
        say(fmt::format("run {} has saved nothing{}", runs.front().id, saved.empty() ? "" : " like that"));
    else
        print_out(files_table(files));
    return 0;
}

} // namespace poster
