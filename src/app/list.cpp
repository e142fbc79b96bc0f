// `poster ls`: the runs of a store, newest first, as a table or as JSON.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <process.hpp>
#include <records.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "reading.hpp"
#include "stores.hpp"
#include "table.hpp"

namespace poster {

namespace {

constexpr std::size_t kUsualLimit = 50;
constexpr std::size_t kFlushAt = 1 << 20;

// "2026-11-20", "2026-11-20 14:00": this machine's time.
std::optional<WallTime> parse_local_time(const std::string& text) {
    for (const char* form :
         {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"}) {
        std::tm parts{};
        const char* end = ::strptime(text.c_str(), form, &parts);
        if (end == nullptr || *end != '\0') continue;
        parts.tm_isdst = -1;
        return WallTime(Milliseconds(std::int64_t(std::mktime(&parts)) * 1000));
    }
    return std::nullopt;
}

WallTime parse_since(const std::string& text, WallTime now) {
    if (auto duration = parse_duration(text)) return now - *duration;
    if (auto local = parse_local_time(text)) return *local;
    if (auto time = text.find('T') == std::string::npos ? std::nullopt : parse_iso8601(text)) return *time;
    throw UsageError(fmt::format("--since wants a duration or a date, not '{}'", text),
                     "for example 2d, 12h, 2026-11-20, '2026-11-20 14:00' or 2026-11-20T14:00:00Z");
}

// One JSON value after the other, appended by hand: a store has 100,000 runs, and a tree of nodes for each is slow.
class JsonLine {
public:
    explicit JsonLine(std::string& out) : out_(out) {}

    void text(std::string_view key, std::string_view value) {
        begin(key);
        quote(value);
    }
    void text_or_null(std::string_view key, std::string_view value) {
        begin(key);
        if (value.empty())
            out_ += "null";
        else
            quote(value);
    }
    void texts(std::string_view key, const std::vector<std::string>& values) {
        begin(key);
        out_ += '[';
        for (const auto& value : values) {
            if (&value != &values.front()) out_ += ',';
            quote(value);
        }
        out_ += ']';
    }
    template <typename Number>
    void number(std::string_view key, const std::optional<Number>& value) {
        begin(key);
        if (value)
            fmt::format_to(std::back_inserter(out_), "{}", *value);
        else
            out_ += "null";
    }
    void time(std::string_view key, const std::optional<WallTime>& value) {
        begin(key);
        if (value)
            out_.append("\"").append(iso8601(*value)).append("\"");
        else
            out_ += "null";
    }
    void end() { out_ += '}'; }

private:
    void begin(std::string_view key) {
        out_.append(first_ ? "{\"" : ",\"").append(key).append("\":");
        first_ = false;
    }
    void quote(std::string_view value) {
        bool plain = std::all_of(value.begin(), value.end(), [](char c) {
            auto byte = static_cast<unsigned char>(c);
            return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        });
        if (plain) {
            out_.append("\"").append(value).append("\"");
        } else {
            out_ += nlohmann::json(std::string(value)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        }
    }

    std::string& out_;
    bool first_ = true;
};

std::optional<double> duration_of(const RunRow& row, WallTime now) {
    if (row.duration_s) return row.duration_s;
    if (row.status != Status::running || !row.started_at) return std::nullopt;
    return double((now - *row.started_at).count()) / 1000;
}

void append_json(const RunRow& row, WallTime now, std::string& out) {
    JsonLine line(out);
    line.text("id", row.id);
    line.text("name", row.name);
    line.texts("tags", row.tags);
    line.text("status", to_string(row.status));
    line.text("command", row.command);
    line.texts("argv", row.argv);
    line.text("dir", row.dir);
    line.text("cwd", row.cwd);
    line.text("host", row.host);
    line.time("started_at", row.started_at);
    line.time("ended_at", row.ended_at);
    line.number("duration_s", duration_of(row, now));
    line.number("exit_code", row.exit_code);
    line.text_or_null("signal", row.signal);
    line.text("reason", row.reason);
    line.number("attempt", std::optional(row.attempt));
    line.text("note", row.note);
    line.text_or_null("group", row.group);
    line.text_or_null("parent", row.parent);
    line.end();
}

void print_json_rows(const std::vector<RunRow>& rows, WallTime now) {
    std::string out = "[";
    for (const auto& row : rows) {
        out += &row == &rows.front() ? "\n" : ",\n";
        append_json(row, now, out);
        if (out.size() < kFlushAt) continue;
        print_out(out);
        out.clear();
    }
    print_out(out + (rows.empty() ? "]\n" : "\n]\n"));
}

void cut_out(std::string& text, std::string_view from, std::string_view up_to) {
    std::size_t begin = text.find(from);
    if (begin == std::string::npos) return;
    std::size_t end = text.find_first_of(up_to, begin + from.size());
    text.erase(begin, (end == std::string::npos ? text.size() : end + (text[end] == ')' ? 1 : 0)) - begin);
}

// The reason without what other columns say: "killed by SIGTERM from slurmstepd (pid 812, uid 0) after 2h 3m" is
// "SIGTERM from slurmstepd".
std::string short_reason(const RunRow& row) {
    if (row.status == Status::running || row.status == Status::queued) return {};
    if (row.status == Status::finished) return fmt::format("exit code {}", row.exit_code.value_or(0));
    std::string text = row.reason;
    cut_out(text, " (pid ", ")");
    cut_out(text, ", after ", "(:");
    cut_out(text, " after ", "(:");
    for (std::string_view front : {"killed by ", "ended by ", "failed with ", "lost: ", "failed: "})
        if (text.starts_with(front)) return text.substr(front.size());
    return text;
}

std::string worry_of(const RunRow& row, const Store& store, const std::string& this_host) {
    if (row.status != Status::running || row.host == this_host) return {};
    auto attempt_dir = store.attempt_dir(row.id, row.attempt);
    auto attempt = read_json(attempt_dir / "attempt.json");
    std::string worry = attempt ? worry_about(attempt_dir, *attempt) : "";
    return worry.empty() ? worry : "(" + worry + ")";
}

// `dirs`: also which store each is of.
std::string render_rows(const std::vector<RunRow>& rows, const Store& store, WallTime now, bool dirs = false) {
    Table table(
        {{"STATUS"}, {"ID"}, {"NAME", 6}, {"COMMAND", 10}, {"STARTED"}, {"DURATION"}, {"OUTCOME", 8}, {"STORE", 10}});
    std::string this_host = host_name();
    for (const auto& row : rows) {
        auto seconds = duration_of(row, now);
        std::string worry = worry_of(row, store, this_host);
        table.add(
            {{std::string(to_string(row.status)), colour_of(row.status)},
             {row.id, Colour::none},
             {printable(row.name), Colour::bold},
             {printable(row.command), Colour::none},
             {row.started_at ? format_ago(*row.started_at, now) : "", Colour::none},
             {seconds ? format_duration(Milliseconds(std::llround(*seconds * 1000))) : "", Colour::none},
             {printable(worry.empty() ? short_reason(row) : worry), worry.empty() ? Colour::none : Colour::yellow},
             {dirs ? printable(fs::path(row.dir).parent_path().parent_path().string()) : "", Colour::dim}});
    }
    return table.render(stdout_terminal());
}

std::size_t usual_limit(const Settings& settings) {
    bool known = settings.values().find("ls.limit") != settings.values().end();
    return known ? std::size_t(std::max(0L, settings.integer("ls.limit"))) : kUsualLimit;
}

// The runs of all stores of this machine's user, newest first.
std::vector<RunRow> rows_of_all_stores(const RunFilter& filter) {
    std::vector<RunRow> rows;
    for (const auto& dir : known_stores()) {
        Reading reading = read_store(dir.string());
        if (!reading.index) continue;
        auto more = reading.index->list(filter);
        rows.insert(rows.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const RunRow& a, const RunRow& b) { return a.started_at > b.started_at; });
    if (filter.limit > 0 && rows.size() > filter.limit) rows.resize(filter.limit);
    return rows;
}

int list_all_stores(const ListArguments& arguments, RunFilter filter) {
    Workspace workspace = open_workspace(arguments.store);
    filter.limit = arguments.limit.value_or(arguments.json ? 0 : usual_limit(workspace.settings));
    auto rows = rows_of_all_stores(filter);
    if (arguments.json)
        print_json_rows(rows, wall_now());
    else
        print_out(render_rows(rows, workspace.store, wall_now(), true));
    return 0;
}

} // namespace

int list_runs(const ListArguments& arguments) {
    RunFilter filter;
    filter.statuses = arguments.statuses;
    filter.tags = arguments.tags;
    filter.name = arguments.name;
    filter.group = arguments.group;
    WallTime now = wall_now();
    if (arguments.since) filter.since = parse_since(*arguments.since, now);
    if (arguments.all_stores) return list_all_stores(arguments, filter);
    Reading reading = read_store(arguments.store);
    filter.limit = arguments.limit.value_or(arguments.json ? 0 : usual_limit(reading.workspace.settings));
    if (!reading.index) {
        say(no_store_message(reading.workspace));
        if (arguments.json) print_out("[]\n");
        return 0;
    }
    auto rows = reading.index->list(filter);
    now = wall_now();
    if (arguments.json) {
        print_json_rows(rows, now);
        return 0;
    }
    print_out(render_rows(rows, reading.workspace.store, now));
    if (filter.limit > 0 && rows.size() >= filter.limit) {
        std::size_t all = reading.index->count(filter);
        if (all > rows.size()) say(fmt::format("{} of {} runs; --limit 0 shows all", rows.size(), all));
    }
    if (rows.empty())
        say(fmt::format("no runs{} in {}", reading.index->count({}) > 0 ? " like that" : "",
                        reading.workspace.store.dir().string()));
    return 0;
}

} // namespace poster
