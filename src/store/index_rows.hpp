#pragma once
// The tables of the index: their schema, how rows come in and how they are asked for.

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "index.hpp"
#include "index_sources.hpp"
#include "sqlite.hpp"

namespace poster {

// Throws SqliteError for a database of a newer poster.
void migrate_schema(const Database& database);
bool is_current(const Database& database);
// For all that a query may stumble over; slow, and only asked of a database that has just failed.
bool is_sound(const fs::path& path);
void forget_all(const Database& database);

// What is in the tables as of the last refresh.
Feeds known_feeds(const Database& database);
std::optional<DirectoryState> known_directory(const Database& database);

// Runs that have ended, with all end hooks, whose values are not in the tables yet.
std::vector<std::string> runs_without_values(const Database& database, const Store& store);

// A WHERE clause.
struct Condition {
    std::string sql;                // with a leading space; empty: all rows
    std::vector<std::string> texts; // for its question marks, in order

    void add(const std::string& clause, const std::vector<std::string>& values = {});
    void bind_to(Statement& statement) const;
};

Condition condition_of(const RunFilter& filter); // without its `where`

// The columns that row_at() reads, in this order; kStartedAt and so on are places among them.
extern const char* const kRunColumns;
enum RunColumn {
    kId,
    kName,
    kTags,
    kNote,
    kGroup,
    kParent,
    kHost,
    kCwd,
    kArgv,
    kAttempt,
    kStatus,
    kStartedAt,
    kEndedAt,
    kDuration,
    kExitCode,
    kSignal,
    kReason,
    kAfterRunColumns
};
std::vector<std::string> list_at(const Statement& row, int column); // of JSON
RunRow row_at(const Statement& row, const Store& store);

// Newest first; limit 0: all.
std::vector<RunRow> select_rows(const Database& database, const Store& store, const Condition& condition,
                                std::size_t limit, std::int64_t offset = 0);
std::size_t count_rows(const Database& database, const Condition& condition);

using Progress = std::function<void(std::size_t done, std::size_t total)>;

class Filler {
public:
    Filler(const Database& database, const Store& store);

    void put(const IndexEntry& entry);
    // Of runs that have ended, from their directories, where no feed told them.
    void read_values(const std::vector<std::string>& ids);
    // What the feeds say since they were read last. True: one of them was read from its beginning.
    bool read_feeds(const Feeds& known, Feeds& feeds);
    // Rows for directories that came, none for those that went. False: look again next time.
    bool compare_directories();
    bool put_directories(std::vector<std::string> ids, const Progress& progress);
    // A feed may announce the end of a run that has been deleted meanwhile.
    void remove_deleted();
    void save(const Feeds& feeds, DirectoryState directory, bool settled);

private:
    void put_run(const IndexEntry& entry);
    void put_values(const IndexEntry& entry, const RunValues& values);
    std::int64_t key_of(const std::string& name);

    const Database& database_;
    const Store& store_;
    Statement insert_, remove_, find_row_, forget_values_, insert_value_, set_valued_;
    std::unordered_map<std::string, std::int64_t> keys_;
    std::unordered_set<std::string> announced_;
};

} // namespace poster
