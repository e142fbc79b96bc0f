#include "index_query.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include <clock.hpp>
#include <text.hpp>

#include "index_rows.hpp"

namespace poster {

namespace {

using Rows = std::unordered_map<std::int64_t, Value>; // by rowid

Value value_at(const Statement& row, int column) {
    if (row.is_null(column)) return {};
    if (row.is_blob(column)) return row.text(column) != std::string_view("\0", 1);
    if (row.is_text(column)) return row.text(column);
    return row.real(column);
}

Value text_or_null(std::string text) {
    return text.empty() ? Value{} : Value{std::move(text)};
}

Value seconds_at(const Statement& row, int column) {
    return row.is_null(column) ? Value{} : Value{double(row.number(column)) / 1000};
}

Value duration_at(const Statement& row, WallTime now) {
    if (!row.is_null(kDuration)) return row.real(kDuration);
    if (row.text(kStatus) != to_string(Status::running) || row.is_null(kStartedAt)) return {};
    return double(now.time_since_epoch().count() - row.number(kStartedAt)) / 1000;
}

using ColumnReader = Value (*)(const Statement& row, WallTime now);

template <RunColumn column>
Value text_column(const Statement& row, WallTime) {
    return text_or_null(row.text(column));
}

template <RunColumn column>
Value number_column(const Statement& row, WallTime) {
    return value_at(row, column);
}

template <RunColumn column>
Value time_column(const Statement& row, WallTime) {
    if (row.text(kStatus) == to_string(Status::queued)) return {}; // it is when it was made
    return seconds_at(row, column);
}

Value command_column(const Statement& row, WallTime) {
    return text_or_null(shell_join(list_at(row, kArgv)));
}

// Other than `tags`, which is a list.
ColumnReader reader_of(const std::string& name) {
    static const std::map<std::string, ColumnReader> kReaders{
        {"id", text_column<kId>},
        {"name", text_column<kName>},
        {"note", text_column<kNote>},
        {"group", text_column<kGroup>},
        {"parent", text_column<kParent>},
        {"host", text_column<kHost>},
        {"cwd", text_column<kCwd>},
        {"command", command_column},
        {"attempt", number_column<kAttempt>},
        {"status", text_column<kStatus>},
        {"started", time_column<kStartedAt>},
        {"ended", time_column<kEndedAt>},
        {"duration", duration_at},
        {"exit_code", number_column<kExitCode>},
        {"signal", text_column<kSignal>},
        {"reason", text_column<kReason>},
    };
    const auto found = kReaders.find(name);
    return found == kReaders.end() ? nullptr : found->second;
}

// ---- the values

// `metrics.loss` is metrics.loss.last.
std::string full_name(const std::string& name) {
    return name.starts_with("metrics.") ? name + ".last" : name;
}

const Value* value_in(const RunValues& values, const std::string& name) {
    auto found = values.find(name);
    if (found == values.end()) found = values.find(full_name(name));
    return found == values.end() ? nullptr : &found->second;
}

std::optional<std::int64_t> key_in(const Database& database, const std::string& name) {
    Statement query{database, "SELECT id FROM keys WHERE name = ?1"};
    for (const std::string& candidate : {name, full_name(name)}) {
        query.reset();
        if (query.bind(1, candidate).step()) return query.number(0);
    }
    return std::nullopt;
}

Rows rows_with(const Database& database, const std::string& name) {
    Rows rows;
    const auto key = key_in(database, name);
    if (!key) return rows;
    Statement query{database, "SELECT run,value FROM vals WHERE key = ?1"};
    query.bind(1, *key);
    while (query.step()) rows.emplace(query.number(0), value_at(query, 1));
    return rows;
}

// What is asked of the runs: a column each, or the values of all runs.
class Questions {
public:
    Questions(const Database& database, const Store& store, const RunFilter& filter) {
        if (filter.where) add(database, filter.where->names());
        if (!filter.sort.empty()) add(database, {filter.sort});
        add(database, filter.columns);
        if (!values_.empty()) read_active(database, store);
    }

    std::vector<Value> ask(const std::string& name, const Statement& row) const {
        if (name == "tags") {
            std::vector<Value> tags;
            for (auto& tag : list_at(row, kTags)) tags.emplace_back(std::move(tag));
            return tags;
        }
        if (const ColumnReader read = reader_of(name)) return {read(row, now_)};
        const auto& rows = values_.at(name);
        const auto found = rows.find(row.number(kAfterRunColumns));
        return {found == rows.end() ? Value{} : found->second};
    }

    Value ask_for_one(const std::string& name, const Statement& row) const {
        const auto values = ask(name, row);
        if (name != "tags") return values.front();
        std::string words;
        for (const auto& value : values) words += (words.empty() ? "" : ", ") + text_of(value);
        return text_or_null(words);
    }

private:
    void add(const Database& database, const std::vector<std::string>& names) {
        for (const auto& name : names)
            if (is_value_name(name) && !values_.contains(name)) values_[name] = rows_with(database, name);
    }

    // They go on, or their end hooks do: their values are in their directories.
    void read_active(const Database& database, const Store& store) {
        Statement find{database, "SELECT rowid FROM runs WHERE id = ?1"};
        for (const auto& id : store.active_runs()) {
            find.reset();
            if (!find.bind(1, id).step()) continue;
            const RunValues now = values_of_run(store.run_dir(id));
            for (auto& [name, rows] : values_) {
                const Value* value = value_in(now, name);
                rows[find.number(0)] = value != nullptr ? *value : Value{};
            }
        }
    }

    WallTime now_ = wall_now();
    std::map<std::string, Rows> values_; // by name
};

struct Hit {
    std::int64_t row;
    Value sort_value;
};

std::string select_sql(const std::string& rest) {
    return fmt::format("SELECT {},rowid FROM runs{}", kRunColumns, rest);
}

// Numbers before texts; what has none last, whichever way.
bool comes_before(const Value& a, const Value& b, bool descending) {
    const auto rank = [](const Value& value) {
        return std::holds_alternative<std::monostate>(value) ? 2 : std::holds_alternative<std::string>(value) ? 1 : 0;
    };
    if (rank(a) != rank(b)) return rank(a) == 2 || rank(b) == 2 ? rank(a) < rank(b) : (rank(a) < rank(b)) != descending;
    if (rank(a) == 2) return false;
    if (rank(a) == 1) {
        const int order = std::get<std::string>(a).compare(std::get<std::string>(b));
        return descending ? order > 0 : order < 0;
    }
    const auto number = [](const Value& value) {
        const auto* flag = std::get_if<bool>(&value);
        return flag ? double(*flag) : std::get<double>(value);
    };
    return descending ? number(a) > number(b) : number(a) < number(b);
}

std::vector<Hit> hits_of(const Database& database, const Questions& questions, const RunFilter& filter) {
    const Condition condition = condition_of(filter);
    Statement query{database, select_sql(condition.sql + " ORDER BY started_at DESC, id DESC")};
    condition.bind_to(query);
    std::vector<Hit> hits;
    const Lookup lookup = [&](const std::string& name) { return questions.ask(name, query); };
    while (query.step()) {
        if (filter.where && !filter.where->holds(lookup)) continue;
        hits.push_back({query.number(kAfterRunColumns),
                        filter.sort.empty() ? Value{} : questions.ask_for_one(filter.sort, query)});
        if (filter.sort.empty() && hits.size() == filter.limit) break;
    }
    if (!filter.sort.empty())
        std::stable_sort(hits.begin(), hits.end(), [&](const Hit& a, const Hit& b) {
            return comes_before(a.sort_value, b.sort_value, filter.descending);
        });
    if (filter.limit > 0 && hits.size() > filter.limit) hits.resize(filter.limit);
    return hits;
}

} // namespace

std::vector<std::string> RunFilter::value_names() const {
    std::vector<std::string> names = where ? where->names() : std::vector<std::string>{};
    names.insert(names.end(), columns.begin(), columns.end());
    names.push_back(sort);
    std::erase_if(names, [](const std::string& it) { return !is_value_name(it); });
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

void sort_rows(std::vector<RunRow>& rows, bool descending) {
    std::stable_sort(rows.begin(), rows.end(), [&](const RunRow& a, const RunRow& b) {
        return comes_before(a.sort_value, b.sort_value, descending);
    });
}

bool asks_for_values(const RunFilter& filter) {
    return filter.where || !filter.sort.empty() || !filter.columns.empty();
}

std::vector<RunRow> select_by_values(const Database& database, const Store& store, const RunFilter& filter) {
    const Questions questions{database, store, filter};
    Statement query{database, select_sql(" WHERE rowid = ?1")};
    std::vector<RunRow> rows;
    for (auto& hit : hits_of(database, questions, filter)) {
        query.reset();
        if (!query.bind(1, hit.row).step()) continue;
        RunRow& row = rows.emplace_back(row_at(query, store));
        for (const auto& name : filter.columns) row.values.push_back(questions.ask_for_one(name, query));
        row.sort_value = std::move(hit.sort_value);
    }
    return rows;
}

std::size_t count_by_values(const Database& database, const Store& store, const RunFilter& filter) {
    RunFilter all = filter;
    all.limit = 0;
    all.sort.clear();
    all.columns.clear();
    return hits_of(database, Questions{database, store, all}, all).size();
}

std::vector<std::pair<std::string, std::string>> unknown_names(const Database& database, const Store& store,
                                                               const std::vector<std::string>& names) {
    std::vector<std::string> unknown;
    for (const auto& name : names)
        if (!key_in(database, name)) unknown.push_back(name);
    if (unknown.empty()) return {};
    std::vector<std::string> known;
    for (const auto& id : store.active_runs()) {
        const RunValues values = values_of_run(store.run_dir(id));
        std::erase_if(unknown, [&](const std::string& name) { return value_in(values, name) != nullptr; });
        for (const auto& [name, value] : values) known.push_back(name);
    }
    Statement all{database, "SELECT name FROM keys"};
    while (all.step()) known.push_back(all.text(0));
    for (std::size_t i = 0, count = known.size(); i < count; ++i) // as they are usually asked for
        if (known[i].ends_with(".last")) known.push_back(known[i].substr(0, known[i].size() - 5));
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& name : unknown) found.emplace_back(name, closest(name, known));
    return found;
}

} // namespace poster
