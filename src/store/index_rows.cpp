#include "index_rows.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kProgressStep = 500;

// Step n brings version n to n + 1; what it adds is filled by the refresh that follows.
constexpr const char* kMigrations[] = {
    "CREATE TABLE runs(id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, tags TEXT NOT NULL, note TEXT NOT NULL,"
    " run_group TEXT NOT NULL, parent TEXT NOT NULL, host TEXT NOT NULL, cwd TEXT NOT NULL, argv TEXT NOT NULL,"
    " attempt INTEGER NOT NULL, status TEXT NOT NULL, rank INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,"
    " duration_s REAL, exit_code INTEGER, signal TEXT NOT NULL, reason TEXT NOT NULL);"
    "CREATE INDEX runs_by_status ON runs(status, started_at, id);"
    "CREATE INDEX runs_by_start ON runs(started_at, id);"
    "CREATE INDEX runs_by_name ON runs(name, id) WHERE name <> '';"
    "CREATE TABLE feeds(file TEXT NOT NULL PRIMARY KEY, inode INTEGER, size INTEGER, offset INTEGER);"
    "CREATE TABLE directory(inode INTEGER, mtime_ns INTEGER);",
    // The values of a run: a number, a text, null, or a boolean as a blob of one byte. `valued`: the attempt whose end
    // they were taken at.
    "ALTER TABLE runs ADD COLUMN valued INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX runs_without_values ON runs(id) WHERE rank = 2 AND valued < attempt;"
    "CREATE TABLE keys(id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE vals(key INTEGER NOT NULL, run INTEGER NOT NULL, value, PRIMARY KEY(key, run)) WITHOUT ROWID;"
    "CREATE INDEX vals_by_run ON vals(run);"
    "CREATE TRIGGER run_removed AFTER DELETE ON runs BEGIN DELETE FROM vals WHERE run = old.rowid; END;",
};
constexpr int kVersion = int(std::size(kMigrations));

constexpr const char* kInsert = "INSERT INTO runs(id,name,tags,note,run_group,parent,host,cwd,argv,attempt,status,"
                                "started_at,ended_at,duration_s,exit_code,signal,reason,rank)"
                                " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)"
                                " ON CONFLICT(id) DO UPDATE SET name=?2,tags=?3,note=?4,run_group=?5,parent=?6,host=?7,"
                                "cwd=?8,argv=?9,attempt=?10,status=?11,started_at=?12,ended_at=?13,duration_s=?14,"
                                "exit_code=?15,signal=?16,reason=?17,rank=?18"
                                " WHERE ?10 > attempt OR (?10 = attempt AND ?18 >= rank)";

// SQLite negates a set with ^, a shell with !.
std::string sqlite_glob(std::string glob) {
    for (std::size_t at = 0; (at = glob.find("[!", at)) != std::string::npos; ++at) glob[at + 1] = '^';
    return glob;
}

std::optional<WallTime> time_at(const Statement& row, int column) {
    if (row.is_null(column)) return {};
    return WallTime{Milliseconds{row.number(column)}};
}

std::int64_t version_of(const Database& database) {
    Statement version{database, "PRAGMA user_version"};
    version.step();
    return version.number(0);
}

} // namespace

// ---- the schema

bool is_current(const Database& database) {
    return version_of(database) == kVersion;
}

void migrate_schema(const Database& database) {
    const auto version = version_of(database);
    if (version > kVersion || version < 0) throw SqliteError::foreign("made by a newer poster");
    for (auto step = version; step < kVersion; ++step) database.run(kMigrations[step]);
    if (version > 0 && version < kVersion) forget_all(database);
    database.run(fmt::format("PRAGMA user_version = {}", kVersion).c_str());
}

bool is_sound(const fs::path& path) {
    try {
        const Database database{path};
        if (version_of(database) != kVersion) return false;
        for (const char* table : {"runs", "feeds", "directory", "keys", "vals"})
            Statement{database, std::string{"SELECT * FROM "} + table + " LIMIT 1"}.step();
        Statement check{database, "PRAGMA quick_check(1)"};
        return check.step() && check.text(0) == "ok";
    } catch (const SqliteError&) {
        return false;
    }
}

void forget_all(const Database& database) {
    database.run("DELETE FROM vals; DELETE FROM keys; DELETE FROM runs; DELETE FROM feeds; DELETE FROM directory");
}

Feeds known_feeds(const Database& database) {
    Feeds feeds;
    Statement all{database, "SELECT file,inode,size,offset FROM feeds"};
    while (all.step()) feeds[all.text(0)] = {all.number(1), all.number(2), all.number(3)};
    return feeds;
}

std::optional<DirectoryState> known_directory(const Database& database) {
    Statement row{database, "SELECT inode,mtime_ns FROM directory"};
    if (!row.step()) return {};
    return DirectoryState{row.number(0), row.number(1)};
}

std::vector<std::string> runs_without_values(const Database& database, const Store& store) {
    std::vector<std::string> ids;
    Statement query{database, "SELECT id FROM runs WHERE rank = 2 AND valued < attempt"};
    while (query.step())
        if (std::string id = query.text(0); !store.is_active(id)) ids.push_back(std::move(id));
    return ids;
}

// ---- queries

const char* const kRunColumns = "id,name,tags,note,run_group,parent,host,cwd,argv,attempt,status,started_at,ended_at,"
                                "duration_s,exit_code,signal,reason";

std::vector<std::string> list_at(const Statement& row, int column) {
    const json list = json::parse(row.text(column), nullptr, false);
    return list.is_array() ? list.get<std::vector<std::string>>() : std::vector<std::string>{};
}

RunRow row_at(const Statement& row, const Store& store) {
    RunRow run;
    run.id = row.text(kId);
    run.name = row.text(kName);
    run.tags = list_at(row, kTags);
    run.note = row.text(kNote);
    run.group = row.text(kGroup);
    run.parent = row.text(kParent);
    run.host = row.text(kHost);
    run.cwd = row.text(kCwd);
    run.argv = list_at(row, kArgv);
    run.command = shell_join(run.argv);
    run.attempt = int(row.number(kAttempt));
    run.status = status_from(row.text(kStatus)).value_or(Status::lost);
    run.started_at = time_at(row, kStartedAt);
    run.ended_at = time_at(row, kEndedAt);
    if (!row.is_null(kDuration)) run.duration_s = row.real(kDuration);
    if (!row.is_null(kExitCode)) run.exit_code = int(row.number(kExitCode));
    run.signal = row.text(kSignal);
    run.reason = row.text(kReason);
    if (run.status == Status::queued) run.started_at.reset(); // it is when it was made
    run.dir = store.run_dir(run.id).native();
    return run;
}

void Condition::add(const std::string& clause, const std::vector<std::string>& values) {
    sql += (sql.empty() ? " WHERE " : " AND ") + clause;
    texts.insert(texts.end(), values.begin(), values.end());
}

void Condition::bind_to(Statement& statement) const {
    for (std::size_t i = 0; i < texts.size(); ++i) statement.bind(int(i + 1), texts[i]);
}

Condition condition_of(const RunFilter& filter) {
    Condition condition;
    if (!filter.statuses.empty()) {
        std::string marks = "?";
        for (std::size_t i = 1; i < filter.statuses.size(); ++i) marks += ",?";
        condition.add(filter.statuses.size() == 1 ? "status = ?" : "status IN (" + marks + ")", filter.statuses);
    }
    for (const auto& tag : filter.tags)
        condition.add("tags <> '[]' AND EXISTS(SELECT 1 FROM json_each(runs.tags) WHERE value = ?)", {tag});
    if (!filter.name.empty()) condition.add("name <> '' AND name GLOB ?", {sqlite_glob(filter.name)});
    if (!filter.group.empty()) condition.add("run_group = ?", {filter.group});
    if (!filter.parent.empty()) condition.add("parent = ?", {filter.parent});
    if (filter.since) condition.add(fmt::format("started_at >= {}", filter.since->time_since_epoch().count()));
    return condition;
}

std::vector<RunRow> select_rows(const Database& database, const Store& store, const Condition& condition,
                                std::size_t limit, std::int64_t offset) {
    const std::string limits =
        limit == 0 && offset == 0 ? "" : fmt::format(" LIMIT {} OFFSET {}", std::int64_t(limit), offset);
    Statement query{database, fmt::format("SELECT {} FROM runs{} ORDER BY started_at DESC, id DESC{}", kRunColumns,
                                          condition.sql, limits)};
    condition.bind_to(query);
    std::vector<RunRow> found;
    while (query.step()) found.push_back(row_at(query, store));
    return found;
}

std::size_t count_rows(const Database& database, const Condition& condition) {
    Statement query{database, "SELECT COUNT(*) FROM runs" + condition.sql};
    condition.bind_to(query);
    query.step();
    return std::size_t(query.number(0));
}

// ---- filling

Filler::Filler(const Database& database, const Store& store)
    : database_(database), store_(store), insert_(database, kInsert),
      remove_(database, "DELETE FROM runs WHERE id = ?1"),
      find_row_(database, "SELECT rowid FROM runs WHERE id = ?1 AND valued <= ?2"),
      forget_values_(database, "DELETE FROM vals WHERE run = ?1"),
      insert_value_(database, "INSERT INTO vals(key,run,value) VALUES(?1,?2,?3)"),
      set_valued_(database, "UPDATE runs SET valued = ?2 WHERE id = ?1") {}

void Filler::put(const IndexEntry& entry) {
    if (!entry.status.empty()) put_run(entry);
    if (entry.values && (entry.status.empty() || entry.rank() > 1)) put_values(entry, *entry.values);
}

void Filler::put_run(const IndexEntry& entry) {
    insert_.bind(1, entry.id).bind(2, entry.name).bind(3, entry.tags).bind(4, entry.note).bind(5, entry.group);
    insert_.bind(6, entry.parent).bind(7, entry.host).bind(8, entry.cwd).bind(9, entry.argv);
    insert_.bind(10, entry.attempt).bind(11, entry.status).bind(12, entry.started_at).bind(13, entry.ended_at);
    insert_.bind(14, entry.duration_s).bind(15, entry.exit_code).bind(16, entry.signal).bind(17, entry.reason);
    insert_.bind(18, entry.rank()).execute();
}

void Filler::put_values(const IndexEntry& entry, const RunValues& values) {
    find_row_.bind(1, entry.id).bind(2, entry.attempt);
    const auto row = find_row_.step() ? std::optional(find_row_.number(0)) : std::nullopt;
    find_row_.reset();
    if (!row) return; // deleted meanwhile, or of an attempt before
    forget_values_.bind(1, *row).execute();
    for (const auto& [name, value] : values) {
        insert_value_.bind(1, key_of(name)).bind(2, *row);
        if (const auto* flag = std::get_if<bool>(&value))
            insert_value_.bind_blob(3, *flag ? std::string_view("\1", 1) : std::string_view("\0", 1));
        else if (const auto* text = std::get_if<std::string>(&value))
            insert_value_.bind(3, std::string_view(*text));
        else
            insert_value_.bind(3, std::holds_alternative<double>(value) ? std::optional(std::get<double>(value))
                                                                        : std::nullopt);
        insert_value_.execute();
    }
    set_valued_.bind(1, entry.id).bind(2, entry.attempt).execute();
}

std::int64_t Filler::key_of(const std::string& name) {
    auto& id = keys_[name];
    if (id != 0) return id;
    Statement{database_, "INSERT OR IGNORE INTO keys(name) VALUES(?1)"}.bind(1, name).execute();
    Statement find{database_, "SELECT id FROM keys WHERE name = ?1"};
    find.bind(1, name).step();
    return id = find.number(0);
}

void Filler::read_values(const std::vector<std::string>& ids) {
    put_directories(ids, {});
    // Also where there was nothing to be read: it need not be tried again.
    Statement done{database_, "UPDATE runs SET valued = attempt WHERE id = ?1"};
    for (const auto& id : ids) done.bind(1, id).execute();
}

bool Filler::read_feeds(const Feeds& known, Feeds& feeds) {
    bool anew = false;
    for (auto& [file, now] : feeds) {
        const auto before = known.find(file);
        const bool continues = before != known.end() && before->second.inode == now.inode &&
                               before->second.offset <= now.size && before->second.offset > 0;
        anew = anew || !continues;
        const fs::path path = store_.dir() / "feed" / file;
        now.offset = read_lines(path, continues ? before->second.offset : 0, [&](std::string_view line) {
            if (const auto entry = entry_of_line(line)) {
                put(*entry);
                announced_.insert(entry->id);
            }
        });
        now.size = std::max(now.size, now.offset);
    }
    return anew;
}

bool Filler::compare_directories() {
    std::unordered_set<std::string> on_disk = run_directories(store_);
    std::vector<std::string> gone;
    Statement all{database_, "SELECT id FROM runs"};
    while (all.step()) {
        std::string id = all.text(0);
        if (on_disk.erase(id) == 0) gone.push_back(std::move(id));
    }
    for (const auto& id : gone) remove_.bind(1, id).execute();
    return put_directories({on_disk.begin(), on_disk.end()}, {});
}

bool Filler::put_directories(std::vector<std::string> ids, const Progress& progress) {
    std::sort(ids.begin(), ids.end()); // as they were made: disks like that
    bool settled = true;
    std::size_t done = 0;
    DirectoryReader{store_, ids}.read([&](const std::string& id, const std::optional<IndexEntry>& entry) {
        if (entry)
            put(*entry);
        else
            settled = settled && !is_being_made(store_.run_dir(id));
        ++done;
        if (progress && (done % kProgressStep == 0 || done == ids.size())) progress(done, ids.size());
    });
    return settled;
}

void Filler::remove_deleted() {
    for (const auto& id : announced_) {
        if (::access(store_.run_dir(id).c_str(), F_OK) != 0 && errno == ENOENT) remove_.bind(1, id).execute();
    }
}

void Filler::save(const Feeds& feeds, DirectoryState directory, bool settled) {
    Statement feed{database_, "INSERT OR REPLACE INTO feeds(file,inode,size,offset) VALUES(?1,?2,?3,?4)"};
    for (const auto& [file, state] : feeds)
        feed.bind(1, file).bind(2, state.inode).bind(3, state.size).bind(4, state.offset).execute();
    if (!settled || has_just_changed(directory)) directory.mtime = 0;
    database_.run("DELETE FROM directory");
    Statement{database_, "INSERT INTO directory(inode,mtime_ns) VALUES(?1,?2)"}
        .bind(1, directory.inode)
        .bind(2, directory.mtime)
        .execute();
}

} // namespace poster
