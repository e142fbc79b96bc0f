#pragma once
// The index of a store: SQLite on a local disk (in the store itself where that is local, else below
// $XDG_CACHE_HOME/poster/). It is derived from the run directories; a damaged one is rebuilt with one line of notice.
// refresh() reads only what is new: the unread ends of feed/*.jsonl, and directories that came or went since runs/
// changed.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <poster/run.hpp>

#include "run_values.hpp"
#include "store.hpp"
#include "where.hpp"

namespace poster {

// One line of `poster ls`.
struct RunRow {
    std::string id, name, note, group, parent, host, cwd, reason;
    std::string command; // argv as a shell would need it typed
    std::vector<std::string> argv, tags;
    int attempt = 1; // 0: none has begun (queued)
    Status status = Status::running;
    std::optional<WallTime> started_at, ended_at;
    std::optional<double> duration_s;
    std::optional<int> exit_code;
    std::string signal; // "SIGTERM"; empty: none
    std::string dir;
    std::vector<Value> values{}; // what RunFilter::columns asked for
    Value sort_value{};          // of RunFilter::sort
};

struct RunFilter {
    std::vector<std::string> statuses{}, tags{}; // any of the statuses, all of the tags
    std::string name{};                          // glob
    std::string group{}, parent{};               // exactly; empty: any
    std::optional<WallTime> since{};             // started since
    std::optional<Where> where{};
    std::string sort{};                 // a name as in `where`; empty: newest first
    bool descending = false;            // by `sort`; runs without it come last either way
    std::vector<std::string> columns{}; // names as in `where`, for RunRow::values
    std::size_t limit = 0;              // 0: all

    std::vector<std::string> value_names() const; // config.…, metrics.… and summary.… that it asks for
};
// By `sort_value`; where those are equal as they were.
void sort_rows(std::vector<RunRow>& rows, bool descending);

class Index {
public:
    // Opens or creates it; where no place can be written, it lives in memory for as long as this object does.
    explicit Index(const Store& store);
    ~Index();
    // Where this fails for want of a lock or of space, the index is as old as it was.
    void refresh();
    // Builds it anew from the directories; progress(done, total) now and then.
    void rebuild(const std::function<void(std::size_t, std::size_t)>& progress);
    std::vector<RunRow> list(const RunFilter& filter) const;
    std::size_t count(const RunFilter& filter) const;
    // Those of `names` that no run here has a value of, with the nearest that one has, or "".
    std::vector<std::pair<std::string, std::string>> unknown_values(const std::vector<std::string>& names) const;
    // An id, a unique prefix or suffix of one, a unique name, `last`, `last~2`. Throws UsageError with a suggestion, or
    // naming the candidates when it is ambiguous.
    RunRow find(const std::string& word) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace poster
