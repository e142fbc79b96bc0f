#pragma once
// A store: where it is, how a run comes into it, which runs are active, and the feed that tells indexes of changes.
//
//   .poster/.gitignore            "*"
//   .poster/runs/ID/              the run directories
//   .poster/active/ID             one empty file per run that has not ended with all its end hooks done: recovery reads
//                                 this, so looking for abandoned runs costs as much as there are active ones
//   .poster/pending/ID            one file per run with something in its outbox (run/outbox.hpp) not delivered
//   .poster/untold/ID             one empty file per pending run whose trouble nobody has been told of
//   .poster/feed/HOST.jsonl       a line per change of a run, appended by posters of that host (index.hpp)
//   .poster/queues/GROUP.jsonl    the runs that wait for the launcher of a multirun
//   .poster/client/DIGEST/        the Python files for the child, by version
//   .poster/trash/ID/             removed runs
//   .poster/objects/SHA256        content shared by runs through hard links: patches, untracked files, package lists

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <poster/run.hpp>

namespace poster {

namespace fs = std::filesystem;

// The nearest parent of `cwd` with .poster/, poster.toml or .git, else cwd itself; "/.poster" appended. Nothing is
// created.
fs::path default_store(const fs::path& cwd);

class Store {
public:
    explicit Store(fs::path dir) : dir_(std::move(dir)) {}

    const fs::path& dir() const { return dir_; }
    bool exists() const;
    void
    create() const; // directories 0700 and .gitignore; throws Error with help (--store, POSTER_STORE) when it cannot
    fs::path runs() const { return dir_ / "runs"; }
    fs::path run_dir(const std::string& id) const { return runs() / id; }
    fs::path attempt_dir(const std::string& id, int number) const {
        return run_dir(id) / "attempts" / std::to_string(number);
    }

    // Picks an id that no run has (mkdir decides), makes its directory and marks it active. Throws Error.
    std::string new_run(WallTime now) const;
    std::string new_queued_run(WallTime now) const; // the same, not active yet
    void mark_active(const std::string& id) const;
    void unmark_active(const std::string& id) const noexcept;
    std::vector<std::string> active_runs() const;
    bool is_active(const std::string& id) const;
    bool has_ended(const std::string& id) const; // every attempt of it, and it is not active
    // Runs with deliveries outstanding. The mark is made after an entry is queued. It is put aside before the outbox is
    // looked through for the last time, and only then taken away: neither a kill nor an entry in between is forgotten.
    // What hinders a delivery is noted in it by whoever tried; an empty object: nobody has yet. A mark that is made, or
    // says something new, is untold: telling costs as much as there is to tell, however many runs wait.
    void mark_pending(const std::string& id) const;
    void put_pending_aside(const std::string& id) const;
    void unmark_pending(const std::string& id) const noexcept; // what was put aside
    void note_pending(const std::string& id, const nlohmann::json& note) const;
    std::vector<std::string> pending_runs() const; // the oldest first; also those put aside
    fs::path pending_file(const std::string& id) const { return dir_ / "pending" / id; }
    std::vector<std::string> untold_runs() const;
    bool take_untold(const std::string& id) const; // true: by this process, of several at once
    // Appends what the index needs of this run (see RunRow) to this host's feed. Never throws: an index can be rebuilt.
    void announce(const nlohmann::json& run, const nlohmann::json& attempt) const noexcept;
    // The same of its config, metrics and summary, when all end hooks of this attempt are done.
    void announce_values(const std::string& id, int attempt) const noexcept;

private:
    void append_to_feed(const nlohmann::json& line) const;

    fs::path dir_;
};

// The highest number below RUN_DIR/attempts; 0: none.
int newest_attempt(const fs::path& run_dir);

} // namespace poster
