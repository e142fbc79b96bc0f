#include "index.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <system_error>

#include <fmt/format.h>

#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <process.hpp>
#include <sha256.hpp>
#include <text.hpp>

#include "index_query.hpp"
#include "index_rows.hpp"
#include "index_sources.hpp"
#include "sqlite.hpp"

namespace poster {

namespace {

constexpr int kBusyMs = 5000;
constexpr int kFirstFillMs = 60'000; // nothing at all to show is worth a longer wait than something old
constexpr std::size_t kMostCandidates = 5;
constexpr std::size_t kMostSuggestions = 2000;
constexpr int kMostOverdue = 100;

// ---- where the index is kept

bool is_writable(const fs::path& file) {
    return ::access(file.c_str(), F_OK) == 0 ? ::access(file.c_str(), R_OK | W_OK) == 0
                                             : ::access(file.parent_path().c_str(), W_OK | X_OK) == 0;
}

// Empty: nowhere. Under POSTER_ASSUME_SHARED the cache counts as shared, too.
fs::path place_for(const Store& store) {
    fs::path inside = store.dir() / "index.sqlite";
    if (!on_shared_file_system(store.dir()) && ::access(store.dir().c_str(), W_OK | X_OK) == 0 && is_writable(inside))
        return inside;
    const fs::path cache = user_directory("XDG_CACHE_HOME", ".cache");
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
    fs::path file = cache / fmt::format("index-{}.sqlite", sha256_hex(key).substr(0, 16));
    return is_writable(file) ? file : fs::path{};
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

} // namespace

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
        if (!is_current(*database)) migrate();
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
        migrate_schema(*database);
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

    // Runs that should be running but are not marked active: their end was never announced.
    std::vector<IndexEntry> overdue() const {
        std::vector<IndexEntry> entries;
        Statement running{*database,
                          fmt::format("SELECT id,attempt FROM runs WHERE status = 'running' ORDER BY id DESC LIMIT {}",
                                      kMostOverdue)};
        while (running.step()) {
            const std::string id = running.text(0);
            if (store.is_active(id)) continue;
            auto entry = entry_of_directory(store.run_dir(id), Values::read);
            if (entry && (entry->rank() > 1 || entry->attempt > running.number(1)))
                entries.push_back(std::move(*entry));
        }
        return entries;
    }

    bool anything_new() const {
        const Feeds known = known_feeds(*database);
        for (const auto& [file, now] : feeds_of(store)) {
            const auto before = known.find(file);
            if (before == known.end() || before->second.inode != now.inode || before->second.size != now.size)
                return true;
        }
        return known_directory(*database) != state_of(store.runs()) || !overdue().empty() ||
               !runs_without_values(*database, store).empty();
    }

    void update() {
        if (!anything_new()) return;
        if (!known_directory(*database)) database->wait_for_locks(kFirstFillMs);
        Transaction transaction{*database};
        database->wait_for_locks(kBusyMs);
        if (!anything_new()) return; // another process was faster
        const auto before = known_directory(*database);
        if (!before && was_deleted) {
            if (const auto runs = run_directories(store).size())
                say(fmt::format("rebuilding the index of {} runs", runs));
            was_deleted = false;
        }
        Filler filler{*database, store};
        Feeds feeds = feeds_of(store);
        // After the feeds, so that a run which they announce is on disk; its own state before it is read.
        const bool anew = filler.read_feeds(known_feeds(*database), feeds);
        const DirectoryState directory = state_of(store.runs());
        bool settled = true;
        if (anew || before != directory)
            settled = filler.compare_directories();
        else
            filler.remove_deleted();
        for (const auto& entry : overdue()) filler.put(entry);
        filler.read_values(runs_without_values(*database, store));
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
        forget_all(*database);
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
        return select_rows(*database, store, condition, limit, offset);
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
    const std::size_t runs = count_rows(*database, {});
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
    return impl_->ask([&] {
        return asks_for_values(filter) ? select_by_values(*impl_->database, impl_->store, filter)
                                       : impl_->rows(condition_of(filter), filter.limit);
    });
}

std::size_t Index::count(const RunFilter& filter) const {
    return impl_->ask([&] {
        return filter.where ? count_by_values(*impl_->database, impl_->store, filter)
                            : count_rows(*impl_->database, condition_of(filter));
    });
}

std::vector<std::pair<std::string, std::string>> Index::unknown_values(const std::vector<std::string>& names) const {
    return impl_->ask([&] { return unknown_names(*impl_->database, impl_->store, names); });
}

RunRow Index::find(const std::string& word) const {
    return impl_->ask([&] { return impl_->find(word); });
}

} // namespace poster
