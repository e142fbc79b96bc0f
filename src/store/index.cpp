// The index: SQLite, and what fills it. This is the only file that includes sqlite3.h.

#include "index.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <process.hpp>
#include <sha256.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;
using Progress = std::function<void(std::size_t, std::size_t)>;

constexpr int kBusyMs = 5000;
constexpr int kFirstFillMs = 60'000; // nothing at all to show is worth a longer wait than something old
constexpr std::size_t kProgressStep = 500;
constexpr long kSettledNs = 1'000'000'000; // within this time a directory may change without its mtime changing
constexpr long kBeingMadeSeconds = 60;     // a run directory without run.json is being made
constexpr std::size_t kMostCandidates = 5;
constexpr std::size_t kMostSuggestions = 2000;
constexpr int kMostOverdue = 100;
constexpr std::size_t kBatch = 250; // directories that one thread reads before it hands them on

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
};
constexpr int kVersion = int(std::size(kMigrations));

constexpr const char* kColumns = "id,name,tags,note,run_group,parent,host,cwd,argv,attempt,status,started_at,ended_at,"
                                 "duration_s,exit_code,signal,reason";
constexpr const char* kInsert = "INSERT INTO runs(id,name,tags,note,run_group,parent,host,cwd,argv,attempt,status,"
                                "started_at,ended_at,duration_s,exit_code,signal,reason,rank)"
                                " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)"
                                " ON CONFLICT(id) DO UPDATE SET name=?2,tags=?3,note=?4,run_group=?5,parent=?6,host=?7,"
                                "cwd=?8,argv=?9,attempt=?10,status=?11,started_at=?12,ended_at=?13,duration_s=?14,"
                                "exit_code=?15,signal=?16,reason=?17,rank=?18"
                                " WHERE ?10 > attempt OR (?10 = attempt AND ?18 >= rank)";

// ---- SQLite

class SqliteError : public std::runtime_error {
public:
    SqliteError(int code, const std::string& what) : std::runtime_error(what), code_(code & 0xFF) {}
    // Also what a foreign database under our name leads to: missing tables and columns.
    bool damaged() const { return code_ == SQLITE_CORRUPT || code_ == SQLITE_NOTADB || code_ == SQLITE_ERROR; }
    bool busy() const { return code_ == SQLITE_BUSY || code_ == SQLITE_LOCKED; }

private:
    int code_;
};

class Database {
public:
    explicit Database(const fs::path& path) {
        constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
        const char* name = path.empty() ? ":memory:" : path.c_str();
        const int code = ::sqlite3_open_v2(name, &handle_, kFlags, nullptr);
        if (code != SQLITE_OK) {
            const SqliteError error{code, ::sqlite3_errstr(code)};
            ::sqlite3_close_v2(handle_);
            throw error;
        }
        ::sqlite3_busy_timeout(handle_, kBusyMs);
    }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database() { ::sqlite3_close_v2(handle_); }

    sqlite3* get() const { return handle_; }
    void wait_for_locks(int milliseconds) const { ::sqlite3_busy_timeout(handle_, milliseconds); }
    void run(const char* sql) const {
        if (const int code = ::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(code);
    }
    [[noreturn]] void fail(int code) const { throw SqliteError(code, ::sqlite3_errmsg(handle_)); }

private:
    sqlite3* handle_ = nullptr;
};

class Statement {
public:
    Statement(const Database& database, const std::string& sql) : database_(database) {
        const int code = ::sqlite3_prepare_v2(database.get(), sql.c_str(), -1, &handle_, nullptr);
        if (code != SQLITE_OK) database.fail(code);
    }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement() { ::sqlite3_finalize(handle_); }

    // The text must live until the next step.
    Statement& bind(int place, std::string_view text) {
        ::sqlite3_bind_text(handle_, place, text.data() ? text.data() : "", int(text.size()), SQLITE_STATIC);
        return *this;
    }
    Statement& bind(int place, std::int64_t number) {
        ::sqlite3_bind_int64(handle_, place, number);
        return *this;
    }
    Statement& bind(int place, std::optional<std::int64_t> number) {
        if (number) return bind(place, *number);
        ::sqlite3_bind_null(handle_, place);
        return *this;
    }
    Statement& bind(int place, std::optional<double> number) {
        if (number)
            ::sqlite3_bind_double(handle_, place, *number);
        else
            ::sqlite3_bind_null(handle_, place);
        return *this;
    }
    bool step() {
        const int code = ::sqlite3_step(handle_);
        if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail(code);
        return code == SQLITE_ROW;
    }
    void execute() {
        step();
        ::sqlite3_reset(handle_);
    }

    std::string text(int column) const {
        const auto* bytes = reinterpret_cast<const char*>(::sqlite3_column_text(handle_, column));
        return bytes ? std::string(bytes, std::size_t(::sqlite3_column_bytes(handle_, column))) : std::string{};
    }
    std::int64_t number(int column) const { return ::sqlite3_column_int64(handle_, column); }
    bool is_null(int column) const { return ::sqlite3_column_type(handle_, column) == SQLITE_NULL; }
    double real(int column) const { return ::sqlite3_column_double(handle_, column); }

private:
    const Database& database_;
    sqlite3_stmt* handle_ = nullptr;
};

class Transaction {
public:
    explicit Transaction(const Database& database) : database_(database) { database.run("BEGIN IMMEDIATE"); }
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction() {
        if (open_) ::sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
    void commit() {
        database_.run("COMMIT");
        open_ = false;
    }

private:
    const Database& database_;
    bool open_ = true;
};

// ---- records

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

// A row on its way into the table.
struct Entry {
    std::string id, name, tags, note, group, parent, host, cwd, argv, status, signal, reason;
    std::int64_t attempt = 0;
    std::optional<std::int64_t> started_at, ended_at, exit_code;
    std::optional<double> duration_s;

    // At the same attempt a later state follows an earlier one, never the other way round.
    std::int64_t rank() const { return status == "queued" ? 0 : status == "running" ? 1 : 2; }
};

template <typename Record>
void put_spec(Entry& entry, const Record& run) {
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
void put_attempt(Entry& entry, const Record& attempt) {
    const json number = attempt("attempt");
    const json duration = attempt("duration_s");
    const json exit_code = attempt("exit_code");
    if (number.is_number_integer()) entry.attempt = number.get<std::int64_t>();
    entry.status = text_in(attempt("status"));
    if (const std::string host = text_in(attempt("host")); !host.empty()) entry.host = host;
    entry.started_at = time_in(attempt("started_at"));
    entry.ended_at = time_in(attempt("ended_at"));
    if (duration.is_number()) entry.duration_s = duration.get<double>();
    if (exit_code.is_number_integer()) entry.exit_code = exit_code.get<std::int64_t>();
    entry.signal = text_in(attempt("signal"));
    entry.reason = text_in(attempt("reason"));
}

std::optional<Entry> entry_of_line(std::string_view line) {
    const json record = json::parse(line.begin(), line.end(), nullptr, false);
    if (!record.is_object()) return {};
    const auto member = [&](const char* key) {
        const auto found = record.find(key);
        return found == record.end() ? json{} : *found;
    };
    Entry entry;
    put_spec(entry, member);
    put_attempt(entry, member);
    // An id becomes part of a path.
    if (entry.id.empty() || entry.id.front() == '.' || entry.id.find('/') != std::string::npos) return {};
    if (!status_from(entry.status)) return {};
    return entry;
}

int newest_attempt(const fs::path& run_dir) {
    int newest = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir((run_dir / "attempts").c_str()), ::closedir};
    if (!entries) return newest;
    while (const dirent* entry = ::readdir(entries.get())) {
        const char* end = entry->d_name + std::strlen(entry->d_name);
        int number = 0;
        const auto [parsed, error] = std::from_chars(entry->d_name, end, number);
        if (error == std::errc{} && parsed == end) newest = std::max(newest, number);
    }
    return newest;
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

// nullopt: no readable run.json.
std::optional<Entry> entry_of_directory(const fs::path& run_dir) {
    const auto run_text = read_record(run_dir / "run.json");
    if (!run_text) return {};
    const Members run{*run_text, {"name", "tags", "note", "group", "parent", "cwd", "argv", "host"}};
    if (!run.whole()) return {};
    Entry entry;
    put_spec(entry, [&](const char* key) { return run.at(key); });
    entry.id = run_dir.filename().native(); // the truth, also where a directory was copied
    entry.host = text_in(run.at("host"));
    entry.status = "queued";
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
    return entry;
}

// ---- the store as files

std::int64_t mtime_ns(const struct stat& facts) {
    return std::int64_t(facts.st_mtim.tv_sec) * 1'000'000'000 + facts.st_mtim.tv_nsec;
}

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

struct DirectoryState {
    std::int64_t inode = 0, mtime = 0;
    bool operator==(const DirectoryState&) const = default;
};

DirectoryState state_of(const fs::path& directory) {
    struct stat facts{};
    if (::stat(directory.c_str(), &facts) != 0) return {};
    return {std::int64_t(facts.st_ino), mtime_ns(facts)};
}

struct FeedState {
    std::int64_t inode = 0, size = 0, offset = 0; // offset: read up to there; what follows is not a whole line
};
using Feeds = std::map<std::string, FeedState>;

Feeds feeds_of(const Store& store) {
    Feeds feeds;
    const fs::path directory = store.dir() / "feed";
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(directory.c_str()), ::closedir};
    if (!entries) return feeds;
    while (const dirent* entry = ::readdir(entries.get())) {
        const std::string name = entry->d_name;
        struct stat facts{};
        if (name.size() < 6 || name.compare(name.size() - 6, 6, ".jsonl") != 0) continue;
        if (::fstatat(::dirfd(entries.get()), entry->d_name, &facts, 0) != 0 || !S_ISREG(facts.st_mode)) continue;
        feeds[name] = {std::int64_t(facts.st_ino), facts.st_size, 0};
    }
    return feeds;
}

// Calls visit(line) for each whole line from `offset` on; returns where the next one begins.
template <typename Visit>
std::int64_t read_lines(const fs::path& path, std::int64_t offset, Visit visit) {
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) return offset;
    std::string buffer;
    std::string chunk(1 << 20, '\0');
    for (std::int64_t position = offset;;) {
        const ssize_t got = ::pread(fd.get(), chunk.data(), chunk.size(), position);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return offset;
        position += got;
        buffer.append(chunk, 0, std::size_t(got));
        std::size_t begin = 0;
        for (std::size_t end; (end = buffer.find('\n', begin)) != std::string::npos; begin = end + 1)
            visit(std::string_view{buffer}.substr(begin, end - begin));
        offset += std::int64_t(begin);
        buffer.erase(0, begin);
    }
}

// Of a feed that is read as far as `size`, where its last line ends.
std::int64_t last_line_end(const fs::path& path, std::int64_t size) {
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    std::array<char, 4096> block;
    for (std::int64_t end = size; fd && end > 0;) {
        const std::int64_t begin = std::max<std::int64_t>(0, end - std::int64_t(block.size()));
        const ssize_t got = ::pread(fd.get(), block.data(), std::size_t(end - begin), begin);
        if (got <= 0) break;
        const auto newline = std::string_view(block.data(), std::size_t(got)).rfind('\n');
        if (newline != std::string_view::npos) return begin + std::int64_t(newline) + 1;
        end = begin;
    }
    return 0;
}

std::unordered_set<std::string> run_directories(const Store& store) {
    std::unordered_set<std::string> ids;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(store.runs().c_str()), ::closedir};
    if (!entries) throw Error("cannot read " + store.runs().native());
    while (const dirent* entry = ::readdir(entries.get())) {
        const bool may_be_run = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK;
        if (may_be_run && entry->d_name[0] != '.') ids.emplace(entry->d_name);
    }
    return ids;
}

bool is_being_made(const fs::path& run_dir) {
    struct stat facts{};
    return ::stat(run_dir.c_str(), &facts) == 0 && ::time(nullptr) - facts.st_mtim.tv_sec < kBeingMadeSeconds;
}

// Reads run directories with several threads, as on a cold or remote disk each read is a wait, and hands the entries on
// in order, to the calling thread.
class DirectoryReader {
public:
    DirectoryReader(const Store& store, const std::vector<std::string>& ids)
        : store_(store), ids_(ids), batches_((ids.size() + kBatch - 1) / kBatch) {}

    using Visit = std::function<void(const std::string& id, const std::optional<Entry>&)>;
    void read(const Visit& visit) {
        std::vector<std::jthread> threads;
        const Stop stop{*this};
        try {
            const std::size_t count = batches_.size() < 2 ? 0 : std::min(kThreads, batches_.size());
            for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
        } catch (const std::system_error&) { // a limit on processes: with fewer, then, or alone
        }
        if (threads.empty()) {
            for (const auto& id : ids_) visit(id, read_one(id));
            return;
        }
        for (std::size_t i = 0; i < batches_.size(); ++i) {
            const auto entries = take(i);
            for (std::size_t k = 0; k < entries.size(); ++k) visit(ids_[i * kBatch + k], entries[k]);
        }
    }

private:
    using Batch = std::vector<std::optional<Entry>>;
    static constexpr std::size_t kThreads = 8;
    static constexpr std::size_t kAhead = 32; // batches in memory

    // Ends the threads also where `visit` throws; destroyed before they are joined.
    struct Stop {
        explicit Stop(DirectoryReader& of) : reader(of) {}
        Stop(const Stop&) = delete;
        Stop& operator=(const Stop&) = delete;
        ~Stop() {
            const std::lock_guard guard{reader.mutex_};
            reader.stopped_ = true;
            reader.changed_.notify_all();
        }
        DirectoryReader& reader;
    };

    std::optional<Entry> read_one(const std::string& id) const noexcept {
        try {
            return entry_of_directory(store_.run_dir(id));
        } catch (const std::exception&) {
            return {};
        }
    }

    void work() {
        for (;;) {
            std::size_t mine = 0;
            {
                std::unique_lock guard{mutex_};
                mine = next_++;
                changed_.wait(guard, [&] { return stopped_ || mine < taken_ + kAhead; });
                if (stopped_ || mine >= batches_.size()) return;
            }
            Batch entries;
            const std::size_t end = std::min(ids_.size(), (mine + 1) * kBatch);
            for (std::size_t i = mine * kBatch; i < end; ++i) entries.push_back(read_one(ids_[i]));
            const std::lock_guard guard{mutex_};
            batches_[mine] = std::move(entries);
            changed_.notify_all();
        }
    }

    Batch take(std::size_t number) {
        std::unique_lock guard{mutex_};
        changed_.wait(guard, [&] { return batches_[number].has_value(); });
        Batch entries = std::move(*batches_[number]);
        batches_[number].reset();
        taken_ = number + 1;
        changed_.notify_all();
        return entries;
    }

    const Store& store_;
    const std::vector<std::string>& ids_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::optional<Batch>> batches_; // read, and not yet taken
    std::size_t next_ = 0, taken_ = 0;
    bool stopped_ = false;
};

// ---- where the index is kept

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

bool is_writable(const fs::path& file) {
    return ::access(file.c_str(), F_OK) == 0 ? ::access(file.c_str(), R_OK | W_OK) == 0
                                             : ::access(file.parent_path().c_str(), W_OK | X_OK) == 0;
}

fs::path cache_directory() {
    const std::string given = variable("XDG_CACHE_HOME");
    if (!given.empty() && given.front() == '/') return fs::path{given} / "poster";
    const std::string home = variable("HOME");
    return home.empty() ? fs::path{} : fs::path{home} / ".cache" / "poster";
}

// Empty: nowhere. Under POSTER_ASSUME_SHARED the cache counts as shared, too.
fs::path place_for(const Store& store) {
    const fs::path inside = store.dir() / "index.sqlite";
    if (!on_shared_file_system(store.dir()) && ::access(store.dir().c_str(), W_OK | X_OK) == 0 && is_writable(inside))
        return inside;
    const fs::path cache = cache_directory();
    if (cache.empty()) return {};
    try {
        make_directories(cache);
    } catch (const Error&) {
        return {};
    }
    std::error_code failure;
    std::string key = fs::weakly_canonical(store.dir(), failure).native();
    if (failure) key = store.dir().native();
    // A home on a shared file system: SQLite's locks hold within one machine only, so that each gets a file of its own.
    if (on_shared_file_system(cache)) key += '\n' + host_name();
    const fs::path file = cache / fmt::format("index-{}.sqlite", sha256_hex(key).substr(0, 16));
    return is_writable(file) ? file : fs::path{};
}

// ---- queries

struct Condition {
    std::string sql;
    std::vector<std::string> texts; // for its question marks, in order

    void add(const std::string& clause, std::vector<std::string> values = {}) {
        sql += (sql.empty() ? " WHERE " : " AND ") + clause;
        texts.insert(texts.end(), values.begin(), values.end());
    }
    void bind_to(Statement& statement) const {
        for (std::size_t i = 0; i < texts.size(); ++i) statement.bind(int(i + 1), texts[i]);
    }
};

// SQLite negates a set with ^, a shell with !.
std::string sqlite_glob(std::string glob) {
    for (std::size_t at = 0; (at = glob.find("[!", at)) != std::string::npos; ++at) glob[at + 1] = '^';
    return glob;
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
    if (filter.since) condition.add(fmt::format("started_at >= {}", filter.since->time_since_epoch().count()));
    return condition;
}

std::optional<WallTime> time_at(const Statement& row, int column) {
    if (row.is_null(column)) return {};
    return WallTime{Milliseconds{row.number(column)}};
}

std::vector<std::string> list_at(const Statement& row, int column) {
    const json list = json::parse(row.text(column), nullptr, false);
    return list.is_array() ? list.get<std::vector<std::string>>() : std::vector<std::string>{};
}

RunRow row_of(const Statement& row, const Store& store) {
    RunRow run;
    run.id = row.text(0);
    run.name = row.text(1);
    run.tags = list_at(row, 2);
    run.note = row.text(3);
    run.group = row.text(4);
    run.parent = row.text(5);
    run.host = row.text(6);
    run.cwd = row.text(7);
    run.argv = list_at(row, 8);
    run.command = shell_join(run.argv);
    run.attempt = int(row.number(9));
    run.status = status_from(row.text(10)).value_or(Status::lost);
    run.started_at = time_at(row, 11);
    run.ended_at = time_at(row, 12);
    if (!row.is_null(13)) run.duration_s = row.real(13);
    if (!row.is_null(14)) run.exit_code = int(row.number(14));
    run.signal = row.text(15);
    run.reason = row.text(16);
    run.dir = store.run_dir(run.id).native();
    return run;
}

// "last", "last~2": how many before the newest.
std::optional<std::int64_t> last_offset(std::string_view word) {
    if (word == "last") return 0;
    if (word.substr(0, 5) != "last~") return {};
    word.remove_prefix(5);
    std::int64_t offset = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), offset);
    if (word.empty() || error != std::errc{} || end != word.data() + word.size() || offset < 0) return {};
    return offset;
}

// ---- filling

class Filler {
public:
    Filler(const Database& database, const Store& store)
        : database_(database), store_(store), insert_(database, kInsert),
          remove_(database, "DELETE FROM runs WHERE id = ?1") {}

    void put(const Entry& entry) {
        insert_.bind(1, entry.id).bind(2, entry.name).bind(3, entry.tags).bind(4, entry.note).bind(5, entry.group);
        insert_.bind(6, entry.parent).bind(7, entry.host).bind(8, entry.cwd).bind(9, entry.argv);
        insert_.bind(10, entry.attempt).bind(11, entry.status).bind(12, entry.started_at).bind(13, entry.ended_at);
        insert_.bind(14, entry.duration_s).bind(15, entry.exit_code).bind(16, entry.signal).bind(17, entry.reason);
        insert_.bind(18, entry.rank()).execute();
    }

    // What the feeds say since they were read last. True: one of them was read from its beginning.
    bool read_feeds(const Feeds& known, Feeds& feeds) {
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

    // Rows for directories that came, none for those that went. False: look again next time.
    bool compare_directories() {
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

    bool put_directories(std::vector<std::string> ids, const Progress& progress) {
        std::sort(ids.begin(), ids.end()); // as they were made: disks like that
        bool settled = true;
        std::size_t done = 0;
        DirectoryReader{store_, ids}.read([&](const std::string& id, const std::optional<Entry>& entry) {
            if (entry)
                put(*entry);
            else
                settled = settled && !is_being_made(store_.run_dir(id));
            ++done;
            if (progress && (done % kProgressStep == 0 || done == ids.size())) progress(done, ids.size());
        });
        return settled;
    }

    // A feed may announce the end of a run that has been deleted meanwhile.
    void remove_deleted() {
        for (const auto& id : announced_) {
            if (::access(store_.run_dir(id).c_str(), F_OK) != 0 && errno == ENOENT) remove_.bind(1, id).execute();
        }
    }

    void save(const Feeds& feeds, DirectoryState directory, bool settled) {
        Statement feed{database_, "INSERT OR REPLACE INTO feeds(file,inode,size,offset) VALUES(?1,?2,?3,?4)"};
        for (const auto& [file, state] : feeds)
            feed.bind(1, file).bind(2, state.inode).bind(3, state.size).bind(4, state.offset).execute();
        if (!settled || now_ns() - directory.mtime < kSettledNs) directory.mtime = 0;
        database_.run("DELETE FROM directory");
        Statement{database_, "INSERT INTO directory(inode,mtime_ns) VALUES(?1,?2)"}
            .bind(1, directory.inode)
            .bind(2, directory.mtime)
            .execute();
    }

private:
    const Database& database_;
    const Store& store_;
    Statement insert_, remove_;
    std::unordered_set<std::string> announced_;
};

std::int64_t version_of(const Database& database) {
    Statement version{database, "PRAGMA user_version"};
    version.step();
    return version.number(0);
}

// For all that a query may stumble over; slow, and only asked of a database that has just failed.
bool is_sound(const fs::path& path) {
    try {
        const Database database{path};
        if (version_of(database) != kVersion) return false;
        for (const char* table : {"runs", "feeds", "directory"})
            Statement{database, std::string{"SELECT * FROM "} + table + " LIMIT 1"}.step();
        Statement check{database, "PRAGMA quick_check(1)"};
        return check.step() && check.text(0) == "ok";
    } catch (const SqliteError&) {
        return false;
    }
}

} // namespace

// ---- the index

struct Index::Impl {
    explicit Impl(const Store& of) : store(of), path(place_for(of)) {
        try {
            open();
        } catch (const SqliteError& error) {
            if (error.damaged())
                replace_damaged();
            else
                use_memory();
        }
    }

    // Held shared by everyone who has the database open: it may only be deleted while nobody else has, as SQLite would
    // otherwise delete the new one's -wal file when the old one is closed.
    void open() {
        if (!path.empty() && !lock) {
            fs::path lock_file = path;
            lock_file.replace_extension(".lock");
            const bool had_one = ::access(lock_file.c_str(), F_OK) == 0;
            lock = Fd{::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
            ::flock(lock.get(), LOCK_SH);
            was_deleted = had_one && ::access(path.c_str(), F_OK) != 0;
        }
        database = std::make_unique<Database>(path);
        inode = state_of(path).inode; // before the first read fails
        database->run("PRAGMA synchronous=OFF; PRAGMA cache_size=-16000");
        if (version_of(*database) != kVersion) migrate();
    }

    void migrate() {
        database->wait_for_locks(kFirstFillMs);
        if (!path.empty()) ::chmod(path.c_str(), 0600); // SQLite goes by the umask; its other files by this one
        try {
            database->run("PRAGMA journal_mode=WAL");
        } catch (const SqliteError& error) {
            if (!error.busy()) throw; // another process is doing it
        }
        Transaction transaction{*database};
        const auto version = version_of(*database);
        if (version > kVersion || version < 0) throw SqliteError(SQLITE_CORRUPT, "made by a newer poster");
        for (auto step = version; step < kVersion; ++step) database->run(kMigrations[step]);
        if (version > 0 && version < kVersion)
            database->run("DELETE FROM runs; DELETE FROM feeds; DELETE FROM directory");
        database->run(fmt::format("PRAGMA user_version = {}", kVersion).c_str());
        transaction.commit();
        database->wait_for_locks(kBusyMs);
    }

    void use_memory() {
        path.clear();
        lock.close();
        database.reset();
        open();
    }

    void replace_damaged() {
        database.reset();
        if (path.empty() || !lock) throw Error("the index is damaged");
        if (!alone()) return use_memory();
        if (state_of(path).inode == inode && !is_sound(path)) {
            say("rebuilding the index: it was damaged");
            was_deleted = false;
            for (const char* ending : {"", "-wal", "-shm", "-journal"}) ::unlink((path.native() + ending).c_str());
        }
        try {
            open();
        } catch (const SqliteError&) {
            return use_memory();
        }
        ::flock(lock.get(), LOCK_SH); // not before the new one is there
    }

    bool alone() const {
        constexpr int kTries = 600;
        constexpr int kStepMs = 5;
        ::flock(lock.get(), LOCK_UN);
        for (int i = 0; i < kTries; ++i) {
            if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return true;
            ::poll(nullptr, 0, kStepMs);
        }
        return false;
    }

    Feeds known_feeds() const {
        Feeds feeds;
        Statement all{*database, "SELECT file,inode,size,offset FROM feeds"};
        while (all.step()) feeds[all.text(0)] = {all.number(1), all.number(2), all.number(3)};
        return feeds;
    }

    std::optional<DirectoryState> known_directory() const {
        Statement row{*database, "SELECT inode,mtime_ns FROM directory"};
        if (!row.step()) return {};
        return DirectoryState{row.number(0), row.number(1)};
    }

    // Runs that should be running but are not marked active: their end was never announced.
    std::vector<Entry> overdue() const {
        std::vector<Entry> entries;
        Statement running{*database,
                          fmt::format("SELECT id,attempt FROM runs WHERE status = 'running' ORDER BY id DESC LIMIT {}",
                                      kMostOverdue)};
        while (running.step()) {
            const std::string id = running.text(0);
            if (::access((store.dir() / "active" / id).c_str(), F_OK) == 0) continue;
            auto entry = entry_of_directory(store.run_dir(id));
            if (entry && (entry->rank() > 1 || entry->attempt > running.number(1)))
                entries.push_back(std::move(*entry));
        }
        return entries;
    }

    bool anything_new() const {
        const Feeds known = known_feeds();
        for (const auto& [file, now] : feeds_of(store)) {
            const auto before = known.find(file);
            if (before == known.end() || before->second.inode != now.inode || before->second.size != now.size)
                return true;
        }
        return known_directory() != state_of(store.runs()) || !overdue().empty();
    }

    void update() {
        if (!anything_new()) return;
        if (!known_directory()) database->wait_for_locks(kFirstFillMs);
        Transaction transaction{*database};
        database->wait_for_locks(kBusyMs);
        if (!anything_new()) return; // another process was faster
        const auto before = known_directory();
        if (!before && was_deleted) {
            if (const auto runs = run_directories(store).size())
                say(fmt::format("rebuilding the index of {} runs", runs));
            was_deleted = false;
        }
        Filler filler{*database, store};
        Feeds feeds = feeds_of(store);
        // After the feeds, so that a run which they announce is on disk; its own state before it is read.
        const bool anew = filler.read_feeds(known_feeds(), feeds);
        const DirectoryState directory = state_of(store.runs());
        bool settled = true;
        if (anew || before != directory)
            settled = filler.compare_directories();
        else
            filler.remove_deleted();
        for (const auto& entry : overdue()) filler.put(entry);
        filler.save(feeds, directory, settled);
        transaction.commit();
    }

    void refresh() {
        try {
            return update();
        } catch (const SqliteError& error) {
            if (error.busy()) return; // as old as it was
            if (error.damaged())
                replace_damaged();
            else
                use_memory();
        }
        try {
            update();
        } catch (const SqliteError& error) {
            throw Error(fmt::format("the index of {} cannot be built: {}", store.dir().native(), error.what()));
        }
    }

    void rebuild(const Progress& progress) {
        database->wait_for_locks(kFirstFillMs);
        Transaction transaction{*database};
        database->wait_for_locks(kBusyMs);
        database->run("DELETE FROM runs; DELETE FROM feeds; DELETE FROM directory");
        Feeds feeds = feeds_of(store); // before the directories are read: what is announced meanwhile comes again
        for (auto& [file, state] : feeds) state.offset = last_line_end(store.dir() / "feed" / file, state.size);
        const DirectoryState directory = state_of(store.runs());
        const auto found = run_directories(store);
        Filler filler{*database, store};
        const bool settled = filler.put_directories({found.begin(), found.end()}, progress);
        filler.save(feeds, directory, settled);
        transaction.commit();
        was_deleted = false;
    }

    // A query; over a database that turns out to be damaged, once more after it has been replaced.
    template <typename Query>
    auto ask(Query query) {
        try {
            return query();
        } catch (const SqliteError& error) {
            if (!error.damaged()) throw Error(fmt::format("the index cannot be read: {}", error.what()));
        }
        replace_damaged();
        refresh();
        try {
            return query();
        } catch (const SqliteError& error) {
            throw Error(fmt::format("the index cannot be read: {}", error.what()));
        }
    }

    std::vector<RunRow> rows(const Condition& condition, std::size_t limit, std::int64_t offset = 0) const {
        const std::string limits =
            limit == 0 && offset == 0 ? "" : fmt::format(" LIMIT {} OFFSET {}", std::int64_t(limit), offset);
        Statement query{*database, fmt::format("SELECT {} FROM runs{} ORDER BY started_at DESC, id DESC{}", kColumns,
                                               condition.sql, limits)};
        condition.bind_to(query);
        std::vector<RunRow> found;
        while (query.step()) found.push_back(row_of(query, store));
        return found;
    }

    std::size_t count(const Condition& condition) const {
        Statement query{*database, "SELECT COUNT(*) FROM runs" + condition.sql};
        condition.bind_to(query);
        query.step();
        return std::size_t(query.number(0));
    }

    std::vector<RunRow> matching(const std::string& clause, const std::vector<std::string>& values) const {
        Condition condition;
        condition.add(clause, values);
        return rows(condition, kMostCandidates + 1);
    }

    RunRow find(const std::string& word) const;
    RunRow find_last(std::int64_t offset) const;
    [[noreturn]] void refuse_ambiguous(const std::string& word, const std::vector<RunRow>& candidates) const;
    [[noreturn]] void refuse_unknown(const std::string& word) const;

    Store store;
    fs::path path; // empty: in memory
    Fd lock;
    std::unique_ptr<Database> database;
    std::int64_t inode = 0;
    bool was_deleted = false;
};

RunRow Index::Impl::find_last(std::int64_t offset) const {
    auto found = rows({}, 1, offset);
    if (!found.empty()) return std::move(found.front());
    const std::size_t runs = count({});
    if (runs == 0) throw UsageError("there are no runs yet", "`poster run COMMAND` makes one");
    throw UsageError(fmt::format("there {} only {} {}", runs == 1 ? "is" : "are", runs, runs == 1 ? "run" : "runs"),
                     "`poster ls` lists them");
}

RunRow Index::Impl::find(const std::string& word) const {
    if (const auto offset = last_offset(word)) return find_last(*offset);
    if (word.empty()) throw UsageError("a run is named by its id or name", "`poster ls` lists them");
    if (auto exact = matching("id = ?", {word}); !exact.empty()) return std::move(exact.front());
    std::vector<RunRow> hits, candidates;
    const auto consider = [&](std::vector<RunRow> found) {
        if (found.size() == 1 && (hits.empty() || hits.front().id != found.front().id)) hits.push_back(found.front());
        candidates.insert(candidates.end(), found.begin(), found.end());
    };
    consider(matching("id >= ? AND id < ?", {word, word + '\x7f'}));
    const std::string some = fmt::format("LIMIT {}", kMostCandidates + 1); // by the index of the ids alone
    consider(matching("id IN (SELECT id FROM runs WHERE substr(id, -length(?)) = ? ORDER BY id DESC " + some + ")",
                      {word, word}));
    consider(matching("name <> '' AND name = ?", {word}));
    if (hits.size() == 1) return std::move(hits.front());
    if (candidates.empty()) refuse_unknown(word);
    refuse_ambiguous(word, candidates);
}

void Index::Impl::refuse_ambiguous(const std::string& word, const std::vector<RunRow>& candidates) const {
    std::vector<std::string> words;
    for (const auto& run : candidates) {
        const std::string label = run.name.empty() ? run.id : fmt::format("{} ({})", run.id, run.name);
        if (std::find(words.begin(), words.end(), label) == words.end()) words.push_back(label);
    }
    const bool more = words.size() > kMostCandidates;
    if (more) words.resize(kMostCandidates);
    throw UsageError(fmt::format("'{}' is more than one run", word),
                     fmt::format("it could be {}{}", fmt::join(words, ", "), more ? " …" : ""));
}

void Index::Impl::refuse_unknown(const std::string& word) const {
    constexpr std::size_t kIdSuffix = 4;
    std::vector<std::string> words{"last"};
    Statement newest{*database, fmt::format("SELECT id,name FROM runs ORDER BY started_at DESC, id DESC LIMIT {}",
                                            kMostSuggestions)};
    while (newest.step()) {
        const std::string id = newest.text(0);
        if (word.size() > 2 * kIdSuffix)
            words.push_back(id);
        else if (id.size() > kIdSuffix)
            words.push_back(id.substr(id.size() - kIdSuffix));
        if (const std::string name = newest.text(1); !name.empty()) words.push_back(name);
    }
    const std::string near = closest(word, words);
    throw UsageError(fmt::format("no run is called '{}'", word),
                     near.empty() ? "`poster ls` lists them" : fmt::format("did you mean '{}'?", near));
}

Index::Index(const Store& store) : impl_(std::make_unique<Impl>(store)) {}
Index::~Index() = default;

void Index::refresh() {
    impl_->refresh();
}

void Index::rebuild(const std::function<void(std::size_t, std::size_t)>& progress) {
    impl_->ask([&] {
        impl_->rebuild(progress);
        return true;
    });
}

std::vector<RunRow> Index::list(const RunFilter& filter) const {
    return impl_->ask([&] { return impl_->rows(condition_of(filter), filter.limit); });
}

std::size_t Index::count(const RunFilter& filter) const {
    return impl_->ask([&] { return impl_->count(condition_of(filter)); });
}

RunRow Index::find(const std::string& word) const {
    return impl_->ask([&] { return impl_->find(word); });
}

} // namespace poster
