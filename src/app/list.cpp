// `poster ls`: the runs of a store, newest first, as a table or as JSON.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <process.hpp>
#include <records.hpp>
#include <text.hpp>
#include <when.hpp>

#include "background_sync.hpp"
#include "commands.hpp"
#include "reading.hpp"
#include "stores.hpp"
#include "table.hpp"

namespace poster {

namespace {

constexpr std::size_t kUsualLimit = 50;
constexpr std::size_t kFlushAt = 1 << 20;

WallTime parse_since(const std::string& text, WallTime now) {
    if (const auto time = parse_when(text, now)) return *time;
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
    void value(std::string_view key, const Value& value) {
        out_ += ',';
        quote(key);
        out_ += ':';
        out_ += json_of(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
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

// What waits to be delivered, in the store of each run.
class Undelivered {
public:
    std::string words_of(const RunRow& row) {
        std::string_view store = row.dir; // without "/runs/ID"; as a path it would be slow for 100,000 runs
        store.remove_suffix(std::min(store.size(), row.id.size() + std::string_view("/runs/").size()));
        auto known = stores_.find(store);
        if (known == stores_.end()) known = stores_.emplace(store, Store(fs::path(store))).first;
        return known->second.words_of(row.id);
    }

private:
    std::map<std::string, UndeliveredRuns, std::less<>> stores_;
};

// `columns`: what RunRow::values are; those that every row has are not said twice.
void append_json(const RunRow& row, const std::vector<std::string>& columns, Undelivered& undelivered, WallTime now,
                 std::string& out) {
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
    line.text_or_null("undelivered", undelivered.words_of(row));
    for (std::size_t i = 0; i < row.values.size(); ++i)
        if (is_value_name(columns[i])) line.value(columns[i], row.values[i]);
    line.end();
}

void print_json_rows(const std::vector<RunRow>& rows, const std::vector<std::string>& columns, WallTime now) {
    Undelivered undelivered;
    std::string out = "[";
    for (const auto& row : rows) {
        out += &row == &rows.front() ? "\n" : ",\n";
        append_json(row, columns, undelivered, now, out);
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

std::string worry_of(const RunRow& row, const std::string& this_host) {
    if (row.status != Status::running || row.host == this_host) return {};
    auto attempt_dir = fs::path(row.dir) / "attempts" / std::to_string(row.attempt);
    auto attempt = read_json(attempt_dir / "attempt.json");
    std::string worry = attempt ? worry_about(attempt_dir, *attempt) : "";
    return worry.empty() ? worry : "(" + worry + ")";
}

Table::Cell outcome_cell(const RunRow& row, const std::string& this_host) {
    const std::string worry = worry_of(row, this_host);
    return {printable(worry.empty() ? short_reason(row) : worry), worry.empty() ? Colour::none : Colour::yellow};
}

std::string ago(const std::optional<WallTime>& time, WallTime now) {
    return time ? format_ago(*time, now) : "";
}

std::string duration_text(const RunRow& row, WallTime now) {
    const auto seconds = duration_of(row, now);
    return seconds ? format_duration(Milliseconds(std::llround(*seconds * 1000))) : "";
}

// A column by its name as people read it; number `i` of RunRow::values, where it has no form of its own.
Table::Cell cell_of(const RunRow& row, const std::string& column, std::size_t i, WallTime now) {
    if (column == "status") return {std::string(to_string(row.status)), colour_of(row.status)};
    if (column == "started") return {ago(row.started_at, now)};
    if (column == "ended") return {ago(row.ended_at, now)};
    if (column == "duration") return {duration_text(row, now)};
    return {printable(text_of(row.values[i]))};
}

std::string title_of(const std::string& column) {
    if (is_value_name(column)) return printable(column);
    std::string title = column;
    std::transform(title.begin(), title.end(), title.begin(), [](unsigned char c) { return char(std::toupper(c)); });
    return title;
}

// Only the columns that were asked for.
std::string render_columns(const std::vector<RunRow>& rows, const std::vector<std::string>& columns, WallTime now) {
    std::vector<Table::Column> titles;
    for (const auto& column : columns) {
        const bool may_be_cut = column == "command" || column == "cwd" || column == "reason" || column == "note";
        titles.push_back({title_of(column), may_be_cut ? std::size_t{10} : std::size_t{0}});
    }
    Table table(titles);
    for (const auto& row : rows) {
        std::vector<Table::Cell> cells;
        for (std::size_t i = 0; i < columns.size(); ++i) cells.push_back(cell_of(row, columns[i], i, now));
        table.add(std::move(cells));
    }
    return table.render(stdout_terminal());
}

// What a list shows: the usual columns, the store of each run, and what was asked for.
struct View {
    bool usual = true, dirs = false;
    std::vector<std::string> columns{};
};

std::string render_rows(const std::vector<RunRow>& rows, WallTime now, const View& view) {
    if (!view.usual) return render_columns(rows, view.columns, now);
    std::vector<Table::Column> titles{{"STATUS"}, {"ID"}, {"NAME", 6}, {"COMMAND", 10}, {"STARTED"}, {"DURATION"}};
    for (const auto& column : view.columns) titles.push_back({title_of(column)});
    titles.insert(titles.end(), {{"UNDELIVERED", 8}, {"OUTCOME", 8}, {"STORE", 10}});
    Table table(titles);
    std::string this_host = host_name();
    Undelivered undelivered;
    for (const auto& row : rows) {
        std::vector<Table::Cell> cells{{std::string(to_string(row.status)), colour_of(row.status)},
                                       {row.id},
                                       {printable(row.name), Colour::bold},
                                       {printable(row.command)},
                                       {ago(row.started_at, now)},
                                       {duration_text(row, now)}};
        for (std::size_t i = 0; i < view.columns.size(); ++i) cells.push_back(cell_of(row, view.columns[i], i, now));
        cells.push_back({printable(undelivered.words_of(row)), Colour::yellow});
        cells.push_back(outcome_cell(row, this_host));
        cells.push_back(
            {view.dirs ? printable(fs::path(row.dir).parent_path().parent_path().string()) : "", Colour::dim});
        table.add(std::move(cells));
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
    if (!filter.sort.empty()) sort_rows(rows, filter.descending);
    if (filter.limit > 0 && rows.size() > filter.limit) rows.resize(filter.limit);
    return rows;
}

int list_all_stores(const ListArguments& arguments, RunFilter filter, View view) {
    Workspace workspace = open_workspace(arguments.store);
    filter.limit = arguments.limit.value_or(arguments.json ? 0 : usual_limit(workspace.settings));
    view.dirs = true;
    auto rows = rows_of_all_stores(filter);
    if (arguments.json)
        print_json_rows(rows, filter.columns, wall_now());
    else
        print_out(render_rows(rows, wall_now(), view));
    return 0;
}

// KEY, -KEY, KEY:asc or KEY:desc.
void put_sort(RunFilter& filter, std::string key) {
    if (key.empty()) return;
    if (key.starts_with('-')) {
        filter.descending = true;
        key.erase(0, 1);
    } else if (key.ends_with(":desc") || key.ends_with(":asc")) {
        filter.descending = key.ends_with(":desc");
        key.resize(key.rfind(':'));
    }
    check_where_name("--sort", key);
    filter.sort = key;
}

View put_columns(RunFilter& filter, const std::string& names) {
    View view;
    if (names.empty()) return view;
    view.usual = names.starts_with('+');
    filter.columns = split(view.usual ? names.substr(1) : names, ',');
    for (const auto& name : filter.columns) check_where_name("--columns", name);
    if (filter.columns.empty()) throw UsageError("--columns wants names with commas between them");
    view.columns = filter.columns;
    return view;
}

RunFilter filter_of(const ListArguments& arguments) {
    RunFilter filter;
    filter.statuses = arguments.statuses;
    filter.tags = arguments.tags;
    filter.name = arguments.name;
    filter.group = arguments.group;
    if (arguments.since) filter.since = parse_since(*arguments.since, wall_now());
    if (!arguments.where.empty()) filter.where = Where::parse(arguments.where);
    put_sort(filter, arguments.sort);
    return filter;
}

// A name that no run has is more often a slip than a question.
void warn_of_unknown(const Index& index, const RunFilter& filter) {
    for (const auto& [name, near] : index.unknown_values(filter.value_names()))
        say(fmt::format("no run has {}{}", name, near.empty() ? "" : fmt::format("; did you mean {}?", near)));
}

} // namespace

int list_runs(const ListArguments& arguments) {
    RunFilter filter = filter_of(arguments);
    const View view = put_columns(filter, arguments.columns);
    if (arguments.all_stores) return list_all_stores(arguments, filter, view);
    Reading reading = read_store(arguments.store);
    filter.limit = arguments.limit.value_or(arguments.json ? 0 : usual_limit(reading.workspace.settings));
    if (!reading.index) {
        say(no_store_message(reading.workspace));
        if (arguments.json) print_out("[]\n");
        return 0;
    }
    auto rows = reading.index->list(filter);
    warn_of_unknown(*reading.index, filter);
    const WallTime now = wall_now();
    if (arguments.json) {
        print_json_rows(rows, filter.columns, now);
        return 0;
    }
    print_out(render_rows(rows, now, view));
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
