#pragma once
// RUN/outbox/: what others are to get of a run, and what became of it (docs/outbox.md is the public description).
// Append-only, and one writer for each file:
//
//   queue.HOST.PID.jsonl   entries, by the process that queued them: key, callback, kind, payload, attempt, time
//   CALLBACK.HOST.jsonl    what became of them, by whoever holds the callback's lease (store/lease.hpp) on that host
//   evicted.HOST.jsonl     files that were taken away here as a remote has them, by `poster gc` and `fetch`
//   lease/CALLBACK.N       the leases
//
// An entry is known by its key: queued twice it is one. Copies of the run directory have no entry a file: what is to be
// copied is the difference between the directory and the copies noted here.

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <poster/remote.hpp>
#include <poster/run.hpp>

namespace poster {

// What is known of an entry, or of the copies to one destination as a whole.
struct DeliveryState {
    // begun: by a process that did not tell of its end.
    enum class Stage { queued, begun, delivered, retry, failed } stage = Stage::queued;
    std::string receipt, error, help;
    int tries = 0;
    WallTime at{};       // of the newest line
    WallTime next_try{}; // of retry
};

// A file of the run directory as it was delivered.
struct Copy {
    std::uint64_t bytes = 0;
    std::int64_t modified_ns = 0; // of the local file, since the epoch
    std::string sha256, receipt;
};

// A file that a remote has and that is not here any more.
struct Evicted {
    std::string callback, destination;
    Copy copy;
};

// All there is of one callback in one run's outbox.
struct OutboxView {
    struct Message {
        OutboxEntry entry;
        DeliveryState state;
    };
    std::vector<Message> messages; // in the order of their queueing
    bool copies_wanted = false;    // an entry of kind kCopies was queued
    // By destination: a changed bucket begins anew.
    std::map<std::string, std::map<std::string, Copy>> copies; // by path below the run directory
    std::map<std::string, DeliveryState> copying;              // as a whole
};

class Outbox {
public:
    // The kind of the entry that asks for copies of the run directory.
    static constexpr const char* kCopies = "copies";

    explicit Outbox(const std::filesystem::path& run_dir);

    const std::filesystem::path& dir() const { return dir_; }
    bool exists() const;
    // Appends an entry; on the disk when it returns. Throws Error.
    void queue(const OutboxEntry& entry) const;
    // Which callbacks have ever been queued something; reads the queue alone.
    std::vector<std::string> callbacks() const;
    OutboxView view(const std::string& callback) const;
    // By path below the run directory. A file that is here again is not among them.
    std::map<std::string, Evicted> evicted() const;
    // On the disk when it returns, so that they may be deleted. Throws Error.
    void note_evicted(const std::map<std::string, Evicted>& files) const;

private:
    std::filesystem::path dir_;
};

// The writer of what became of a callback's entries; its caller holds the lease. Safe from any thread.
class OutboxNotes {
public:
    OutboxNotes(const Outbox& outbox, const std::string& callback);
    // All throw Error where it cannot be written; what is noted is on the disk for messages, in the page cache for
    // copies.
    void begun(const std::string& key);
    void ended(const std::string& key, const Delivery& delivery, int tries, WallTime next_try);
    void copied(const std::string& destination, const std::string& path, const Copy& copy);
    // It is not there any more, as verifying has shown.
    void lost(const std::string& destination, const std::string& path);
    // The copies to a destination as a whole: all there, or what hinders them.
    void copying(const std::string& destination, const Delivery& delivery, int tries, WallTime next_try);

private:
    // Of what is noted now. What came later has the later time, whatever the clocks of the machines that take turns.
    std::string time();

    std::filesystem::path file_;
    std::mutex mutex_;
    WallTime latest_;
};

} // namespace poster
