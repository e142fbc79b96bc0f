#include "index_entry.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>

#include <nlohmann/json.hpp>

#include <poster/run.hpp>

#include <clock.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <metric_totals.hpp>

#include "store.hpp"

namespace poster {

namespace {

using nlohmann::json;

// The values of the wanted top-level members, unparsed: run.json may hold long lists that the index has no use for.
class Members {
public:
    Members(std::string_view text, std::initializer_list<std::string_view> wanted) : text_(text) {
        skip_space();
        if (!take('{')) return;
        for (skip_space(); at_ < text_.size() && text_[at_] == '"';) {
            const std::string_view key = string_token();
            skip_space();
            if (!take(':')) return;
            skip_space();
            const std::string_view value = value_token();
            if (std::find(wanted.begin(), wanted.end(), key) != wanted.end()) values_[key] = value;
            skip_space();
            if (!take(',')) break;
            skip_space();
        }
        whole_ = take('}');
    }

    bool whole() const { return whole_; }
    json at(std::string_view key) const {
        const auto found = values_.find(key);
        if (found == values_.end()) return {};
        json value = json::parse(found->second, nullptr, false);
        return value.is_discarded() ? json{} : value;
    }

private:
    void skip_space() {
        while (at_ < text_.size() && std::strchr(" \n\r\t", text_[at_]) && text_[at_] != '\0') ++at_;
    }
    bool take(char wanted) {
        if (at_ >= text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }
    // Without its quotes, escapes as they are.
    std::string_view string_token() {
        const std::size_t begin = ++at_;
        while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
        at_ = std::min(at_, text_.size());
        const std::string_view token = text_.substr(begin, at_ - begin);
        take('"');
        return token;
    }
    std::string_view value_token() {
        const std::size_t begin = at_;
        for (int depth = 0; at_ < text_.size();) {
            const char c = text_[at_];
            if (c == '"') {
                string_token();
                continue;
            }
            if (c == '{' || c == '[') ++depth;
            if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
            if (c == '}' || c == ']') --depth;
            ++at_;
        }
        return text_.substr(begin, at_ - begin);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    bool whole_ = false;
    std::map<std::string_view, std::string_view> values_;
};

std::string text_in(const json& value) {
    return value.is_string() ? value.get<std::string>() : std::string{};
}

json texts_in(const json& value) {
    json texts = json::array();
    if (!value.is_array()) return texts;
    for (const auto& element : value) {
        if (element.is_string()) texts.push_back(element);
    }
    return texts;
}

std::optional<std::int64_t> time_in(const json& value) {
    const auto time = value.is_string() ? parse_iso8601(value.get_ref<const std::string&>()) : std::nullopt;
    return time ? std::optional<std::int64_t>{time->time_since_epoch().count()} : std::nullopt;
}

template <typename Record>
void put_spec(IndexEntry& entry, const Record& run) {
    const auto dump = [](const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); };
    entry.id = text_in(run("id"));
    entry.name = text_in(run("name"));
    entry.tags = dump(texts_in(run("tags")));
    entry.note = text_in(run("note"));
    entry.group = text_in(run("group"));
    entry.parent = text_in(run("parent"));
    entry.cwd = text_in(run("cwd"));
    entry.argv = dump(texts_in(run("argv")));
}

template <typename Record>
void put_attempt(IndexEntry& entry, const Record& attempt) {
    const json number = attempt("attempt");
    const json duration = attempt("duration_s");
    const json exit_code = attempt("exit_code");
    if (number.is_number_integer()) entry.attempt = number.get<std::int64_t>();
    entry.status = text_in(attempt("status"));
    if (const std::string host = text_in(attempt("host")); !host.empty()) entry.host = host;
    if (const auto started = time_in(attempt("started_at"))) entry.started_at = started;
    entry.ended_at = time_in(attempt("ended_at"));
    if (duration.is_number()) entry.duration_s = duration.get<double>();
    if (exit_code.is_number_integer()) entry.exit_code = exit_code.get<std::int64_t>();
    entry.signal = text_in(attempt("signal"));
    entry.reason = text_in(attempt("reason"));
}

// As read_file, with fewer system calls: of 100,000 runs there are 200,000 records.
std::optional<std::string> read_record(const fs::path& path) {
    constexpr std::size_t kUsual = 32 << 10;
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) return {};
    std::string content(kUsual, '\0');
    const ssize_t got = ::pread(fd.get(), content.data(), content.size(), 0);
    if (got < 0 || std::size_t(got) == kUsual) return read_file(path);
    content.resize(std::size_t(got));
    return content;
}

// Nearly every run has one attempt: then a directory's links (itself, its name, one below it) tell so, where the file
// system counts them.
int newest_attempt_of(const fs::path& run_dir) {
    struct stat facts{};
    const bool single = ::stat((run_dir / "attempts").c_str(), &facts) == 0 && facts.st_nlink == 3 &&
                        ::access((run_dir / "attempts" / "1").c_str(), F_OK) == 0;
    return single ? 1 : newest_attempt(run_dir);
}

} // namespace

std::optional<IndexEntry> entry_of_line(std::string_view line) {
    const json record = json::parse(line.begin(), line.end(), nullptr, false);
    if (!record.is_object()) return {};
    const auto member = [&](const char* key) {
        const auto found = record.find(key);
        return found == record.end() ? json{} : *found;
    };
    IndexEntry entry;
    put_spec(entry, member);
    put_attempt(entry, member);
    // An id becomes part of a path.
    if (entry.id.empty() || entry.id.front() == '.' || entry.id.find('/') != std::string::npos) return {};
    if (const auto values = record.find("values"); values != record.end() && entry.status.empty()) {
        entry.values = values_from_json(*values);
        return entry;
    }
    if (!status_from(entry.status)) return {};
    return entry;
}

std::optional<IndexEntry> entry_of_directory(const fs::path& run_dir, Values values) {
    const auto run_text = read_record(run_dir / "run.json");
    if (!run_text) return {};
    const Members run{
        *run_text,
        {"name", "tags", "note", "group", "parent", "cwd", "argv", "host", "created_at", "config", "summary"}};
    if (!run.whole()) return {};
    IndexEntry entry;
    put_spec(entry, [&](const char* key) { return run.at(key); });
    entry.id = run_dir.filename().native(); // the truth, also where a directory was copied
    entry.host = text_in(run.at("host"));
    entry.status = "queued";
    entry.started_at = time_in(run.at("created_at")); // so that it stands among the newest
    for (int number = newest_attempt_of(run_dir); number > 0; --number) {
        const auto text = read_record(run_dir / "attempts" / std::to_string(number) / "attempt.json");
        if (!text) continue; // being made, or its poster died while making it
        const Members attempt{
            *text, {"status", "host", "started_at", "ended_at", "duration_s", "exit_code", "signal", "reason"}};
        if (!attempt.whole() || !status_from(text_in(attempt.at("status")))) continue;
        put_attempt(entry, [&](const char* key) { return attempt.at(key); });
        entry.attempt = number;
        break;
    }
    if (values == Values::read) entry.values = values_of(run.at("config"), run.at("summary"), metrics_of_run(run_dir));
    return entry;
}

} // namespace poster
