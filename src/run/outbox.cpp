#include "outbox.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <process.hpp>

#include "records.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr std::string_view kQueue = "queue.";
constexpr std::string_view kEvicted = "evicted.";
constexpr std::string_view kEnding = ".jsonl";
constexpr std::size_t kLastLines = 64 << 10;

std::string host_in_names() {
    std::string host = host_name();
    std::replace(host.begin(), host.end(), '/', '_');
    return host;
}

std::string line_of(const json& record) {
    return record.dump(-1, ' ', false, json::error_handler_t::replace);
}

void append_to_disk(const fs::path& file, const json& record) {
    append_line(file, line_of(record), Durability::disk);
}

// Each line that is an object; half a line, of a process that was killed, is none.
template <typename Visit>
void each_line_of(const std::optional<std::string>& content, Visit visit) {
    if (!content) return;
    for (std::size_t at = 0; at < content->size();) {
        const std::size_t end = std::min(content->find('\n', at), content->size());
        const json record =
            json::parse(content->begin() + std::ptrdiff_t(at), content->begin() + std::ptrdiff_t(end), nullptr, false);
        if (record.is_object()) visit(record);
        at = end + 1;
    }
}

template <typename Visit>
void each_line(const fs::path& file, Visit visit) {
    each_line_of(read_file(file), visit);
}

// In the order of their names.
std::vector<fs::path> files_in(const fs::path& dir, std::string_view beginning) {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(dir, none)) {
        const std::string name = entry.path().filename().native();
        if (name.starts_with(beginning) && name.ends_with(kEnding)) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
}

WallTime time_at(const json& record, const char* key) {
    return parse_iso8601(text_of(record, key)).value_or(WallTime{});
}

// Now, or later than all that is noted there: another machine's clock may be ahead, and this one's may have been.
WallTime after_all_in(const fs::path& dir, std::string_view beginning) {
    WallTime time = wall_now();
    for (const auto& file : files_in(dir, beginning))
        each_line_of(read_tail(file, kLastLines),
                     [&](const json& record) { time = std::max(time, time_at(record, "time") + Milliseconds(1)); });
    return time;
}

template <typename Number>
Number integer_at(const json& record, const char* key) {
    const auto found = record.find(key);
    return found != record.end() && found->is_number_integer() ? found->get<Number>() : Number{};
}

OutboxEntry entry_of(const json& record) {
    OutboxEntry entry;
    entry.key = text_of(record, "key");
    entry.callback = text_of(record, "callback");
    entry.kind = text_of(record, "kind");
    entry.payload = text_of(record, "payload");
    entry.attempt = integer_at<int>(record, "attempt");
    entry.queued_at = time_at(record, "time");
    return entry;
}

constexpr std::pair<const char*, DeliveryState::Stage> kStages[] = {
    {"begun", DeliveryState::Stage::begun},
    {"delivered", DeliveryState::Stage::delivered},
    {"retry", DeliveryState::Stage::retry},
    {"failed", DeliveryState::Stage::failed},
};

// The newer line counts; but what has arrived has arrived, whatever a second try that lost its lease says.
void advance(DeliveryState& state, const json& record, bool stays_delivered) {
    const WallTime at = time_at(record, "time");
    const std::string word = text_of(record, "state");
    const bool settled = stays_delivered && state.stage == DeliveryState::Stage::delivered;
    const bool settles = stays_delivered && word == "delivered"; // whatever the clocks of two machines say
    if (settled || (at < state.at && !settles)) return;
    for (const auto& [name, stage] : kStages)
        if (word == name) state.stage = stage;
    state.at = at;
    state.receipt = text_of(record, "receipt");
    state.error = text_of(record, "error");
    state.help = text_of(record, "help");
    const int tries = integer_at<int>(record, "tries");
    state.tries = stays_delivered ? std::max(state.tries, tries) : tries; // copies that have arrived begin anew
    state.next_try = time_at(record, "next_try");
}

json record_of(const Delivery& delivery, int tries, WallTime next_try) {
    json record{{"tries", tries}};
    switch (delivery.state) {
    case Delivery::State::delivered: record["state"] = "delivered"; break;
    case Delivery::State::retry:
        record["state"] = "retry";
        record["next_try"] = iso8601(next_try);
        break;
    case Delivery::State::failed: record["state"] = "failed"; break;
    }
    if (!delivery.receipt.empty()) record["receipt"] = delivery.receipt;
    if (!delivery.error.empty()) record["error"] = delivery.error;
    if (!delivery.help.empty()) record["help"] = delivery.help;
    if (delivery.perhaps) record["perhaps"] = true;
    return record;
}

Copy copy_of(const json& record) {
    return {integer_at<std::uint64_t>(record, "bytes"), integer_at<std::int64_t>(record, "modified_ns"),
            text_of(record, "sha256"), text_of(record, "receipt")};
}

} // namespace

Outbox::Outbox(const fs::path& run_dir) : dir_(run_dir / "outbox") {}

bool Outbox::exists() const {
    return ::access(dir_.c_str(), F_OK) == 0;
}

void Outbox::queue(const OutboxEntry& entry) const {
    make_directories(dir_);
    append_to_disk(dir_ / fmt::format("{}{}.{}{}", kQueue, host_in_names(), ::getpid(), kEnding),
                   {{"time", iso8601(wall_now())},
                    {"key", entry.key},
                    {"callback", entry.callback},
                    {"kind", entry.kind},
                    {"payload", entry.payload},
                    {"attempt", entry.attempt}});
}

std::vector<std::string> Outbox::callbacks() const {
    std::set<std::string> names;
    for (const auto& file : files_in(dir_, kQueue))
        each_line(file, [&](const json& record) { names.insert(text_of(record, "callback")); });
    names.erase("");
    return {names.begin(), names.end()};
}

OutboxView Outbox::view(const std::string& callback) const {
    OutboxView view;
    std::map<std::string, DeliveryState> states;
    std::map<std::string, int> begins;
    std::set<std::string> perhaps_sent;
    std::map<std::pair<std::string, std::string>, WallTime> newest; // of a copy
    for (const auto& file : files_in(dir_, callback + '.')) {
        each_line(file, [&](const json& record) {
            const std::string destination = text_of(record, "to");
            if (const std::string path = text_of(record, "path"); !path.empty()) {
                WallTime& known = newest[{destination, path}];
                if (const WallTime at = time_at(record, "time"); at >= known) {
                    known = at;
                    if (member(record, "lost") == true)
                        view.copies[destination].erase(path);
                    else
                        view.copies[destination][path] = copy_of(record);
                }
            } else if (!destination.empty()) {
                advance(view.copying[destination], record, false);
            } else {
                const std::string key = text_of(record, "key");
                if (text_of(record, "state") == "begun") ++begins[key];
                if (member(record, "perhaps") == true) perhaps_sent.insert(key);
                advance(states[key], record, true);
            }
        });
    }
    std::set<std::string> seen;
    for (const auto& file : files_in(dir_, kQueue)) {
        each_line(file, [&](const json& record) {
            if (text_of(record, "callback") != callback) return;
            OutboxEntry entry = entry_of(record);
            if (entry.kind == kCopies) {
                view.copies_wanted = true;
                return;
            }
            if (!seen.insert(entry.key).second) return;
            DeliveryState state = states[entry.key];
            entry.tries = begins[entry.key];
            entry.perhaps_sent = state.stage == DeliveryState::Stage::begun || perhaps_sent.contains(entry.key);
            view.messages.push_back({std::move(entry), std::move(state)});
        });
    }
    std::stable_sort(view.messages.begin(), view.messages.end(),
                     [](const auto& one, const auto& other) { return one.entry.queued_at < other.entry.queued_at; });
    return view;
}

std::map<std::string, Evicted> Outbox::evicted() const {
    std::map<std::string, Evicted> files;
    std::map<std::string, WallTime> newest;
    for (const auto& file : files_in(dir_, kEvicted))
        each_line(file, [&](const json& record) {
            const std::string path = text_of(record, "path");
            const WallTime at = time_at(record, "time");
            if (at < newest[path]) return;
            newest[path] = at;
            files[path] = {text_of(record, "callback"), text_of(record, "to"), copy_of(record)};
        });
    std::erase_if(files, [&](const auto& file) {
        return file.first.empty() ||
               ::faccessat(AT_FDCWD, (dir_.parent_path() / file.first).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    });
    return files;
}

void Outbox::note_evicted(const std::map<std::string, Evicted>& files) const {
    if (files.empty()) return;
    make_directories(dir_);
    const std::string now = iso8601(after_all_in(dir_, kEvicted));
    std::string lines;
    for (const auto& [path, file] : files)
        lines += (lines.empty() ? "" : "\n") + line_of({{"time", now},
                                                        {"path", path},
                                                        {"callback", file.callback},
                                                        {"to", file.destination},
                                                        {"bytes", file.copy.bytes},
                                                        {"modified_ns", file.copy.modified_ns},
                                                        {"sha256", file.copy.sha256}});
    append_line(dir_ / fmt::format("{}{}{}", kEvicted, host_in_names(), kEnding), lines, Durability::disk);
}

OutboxNotes::OutboxNotes(const Outbox& outbox, const std::string& callback)
    : file_(outbox.dir() / fmt::format("{}.{}{}", callback, host_in_names(), kEnding)),
      latest_(after_all_in(outbox.dir(), callback + '.')) {}

std::string OutboxNotes::time() {
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, wall_now());
    return iso8601(latest_);
}

void OutboxNotes::begun(const std::string& key) {
    append_to_disk(file_, {{"time", time()}, {"key", key}, {"state", "begun"}});
}

void OutboxNotes::ended(const std::string& key, const Delivery& delivery, int tries, WallTime next_try) {
    json record = record_of(delivery, tries, next_try);
    record["time"] = time();
    record["key"] = key;
    append_to_disk(file_, record);
}

void OutboxNotes::copied(const std::string& destination, const std::string& path, const Copy& copy) {
    append_line(file_, line_of({{"time", time()},
                                {"to", destination},
                                {"path", path},
                                {"bytes", copy.bytes},
                                {"modified_ns", copy.modified_ns},
                                {"sha256", copy.sha256},
                                {"receipt", copy.receipt}}));
}

void OutboxNotes::lost(const std::string& destination, const std::string& path) {
    append_line(file_, line_of({{"time", time()}, {"to", destination}, {"path", path}, {"lost", true}}));
}

void OutboxNotes::copying(const std::string& destination, const Delivery& delivery, int tries, WallTime next_try) {
    json record = record_of(delivery, tries, next_try);
    record["time"] = time();
    record["to"] = destination;
    append_to_disk(file_, record);
}

} // namespace poster
