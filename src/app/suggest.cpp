#include "suggest.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include <index.hpp>
#include <text.hpp>

#include "series.hpp"
#include "table.hpp"
#include "workspace.hpp"

namespace poster {

namespace {

constexpr std::size_t kMostRuns = 200;
constexpr std::size_t kDescriptionColumns = 60;
constexpr std::size_t kSuffix = 4;
constexpr std::size_t kRunsWithMetrics = 5; // looked into: each costs some reading

class Suggestions {
public:
    void add(const std::string& word, const std::string& description) {
        if (word.empty() || word.find('\n') != std::string::npos || !seen_.insert(word).second) return;
        found_.push_back({word, printable(shorten(description, kDescriptionColumns))});
    }
    std::vector<Suggestion> take() { return std::move(found_); }

private:
    std::set<std::string> seen_;
    std::vector<Suggestion> found_;
};

std::string describe(const RunRow& row) {
    return fmt::format("{}{}{}", to_string(row.status), row.name.empty() ? ": " : " " + row.name + ": ", row.command);
}

void add_runs(Suggestions& found, const std::vector<RunRow>& rows, const std::string& begun) {
    std::map<std::string, int> names, suffixes;
    for (const auto& row : rows) {
        ++names[row.name];
        ++suffixes[row.id.substr(row.id.size() - std::min(kSuffix, row.id.size()))];
    }
    if (!rows.empty()) found.add("last", describe(rows.front()));
    for (const auto& row : rows) {
        const std::string suffix = row.id.substr(row.id.size() - std::min(kSuffix, row.id.size()));
        if (names[row.name] == 1) found.add(row.name, describe(row));
        const bool whole = suffixes[suffix] > 1 || (!begun.empty() && row.id.starts_with(begun));
        found.add(whole ? row.id : suffix, describe(row));
    }
}

void add_metrics(Suggestions& found, const Store& store, const std::vector<RunRow>& rows) {
    for (std::size_t i = 0; i < std::min(rows.size(), kRunsWithMetrics); ++i)
        for (const auto& name : some_metric_names(store.run_dir(rows[i].id))) found.add(name, "metric");
}

} // namespace

std::vector<Suggestion> suggestions(Suggested kind, const std::string& begun, const std::optional<std::string>& store) {
    Suggestions found;
    try {
        const Workspace workspace = open_workspace(store);
        if (!workspace.store.exists()) return {};
        Index index(workspace.store);
        index.refresh();
        RunFilter filter;
        filter.limit = kMostRuns;
        const auto rows = index.list(filter);
        if (kind == Suggested::runs) add_runs(found, rows, begun);
        if (kind == Suggested::metrics) add_metrics(found, workspace.store, rows);
        for (const auto& row : rows) {
            if (kind == Suggested::names) found.add(row.name, describe(row));
            if (kind == Suggested::groups) found.add(row.group, describe(row));
            if (kind == Suggested::tags)
                for (const auto& tag : row.tags) found.add(tag, "");
        }
    } catch (const std::exception&) {
        return {}; // a shell that waits for completions is no place for errors
    }
    return found.take();
}

} // namespace poster
