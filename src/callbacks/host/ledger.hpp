#pragma once
// attempts/N/hooks.jsonl: which hook of which callback began and how it ended. One line, one write; the exactly-once of
// end hooks across crashes and recoveries rests on it.

#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include <fd.hpp>

namespace poster {

class Ledger {
public:
    enum class Mark { none, begun, ended };

    // Reads what earlier hosts of this attempt wrote. Never throws: without a directory it remembers in memory only.
    Ledger(const std::filesystem::path& attempt_dir, std::string run_id, int attempt);

    // Settles what an earlier host began and did not end. A hook that took the host with it (`faulted`) is `crashed`
    // and over; one that was cut short from outside is as if it had never begun, and runs again with the same key:
    // once.
    void settle_begun(bool faulted);

    Mark mark(const std::string& callback, const std::string& hook) const;
    // state: begin, done, failed, timeout, skipped, crashed. Safe from any thread.
    void write(const std::string& callback, const std::string& hook, const std::string& state,
               const std::string& error = {});

private:
    void remember(const std::string& callback, const std::string& hook, const std::string& state);

    struct Entry {
        Mark mark = Mark::none;
        int begins = 0;
    };

    std::string prefix_; // RUN/ATTEMPT, of the idempotency keys
    Fd file_;
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, std::string>, Entry> entries_; // by callback and hook
};

} // namespace poster
