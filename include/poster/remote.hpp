#pragma once
// The remote half of a callback: what `poster sync` makes of the outbox. A callback that sends messages overrides
// Callback::deliver, one that keeps copies of run directories returns a Remote. Who is due, when to try again, what has
// arrived already and what is written down of it is the engine's business (src/sync), not theirs.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <poster/run.hpp>

namespace poster {

// What became of one delivery.
struct Delivery {
    // retry: a passing trouble (no network, 5xx, 429, disk full); failed: somebody must do something first (wrong
    // credentials, no such bucket, changed host key).
    enum class State { delivered, retry, failed } state = State::failed;
    std::string receipt;                     // the remote's: an ETag, a message id
    std::string error;                       // what failed and why, in a line; no secret
    std::string help;                        // what the user can do about it; empty: nothing is known
    std::optional<Milliseconds> retry_after; // as the remote asks for it
    bool perhaps = false;                    // of retry: it may have arrived all the same
    bool lost = false;                       // of failed, by verify: it is not there any more, or with other bytes

    static Delivery arrived(std::string receipt_of_it = {}) {
        return {State::delivered, std::move(receipt_of_it), {}, {}, {}, false};
    }
    static Delivery passing(std::string why, std::optional<Milliseconds> wait = {}) {
        return {State::retry, {}, std::move(why), {}, wait, false};
    }
    // Something is missing that may well be there later, or on another machine.
    static Delivery not_yet(std::string why, std::string what_to_do) {
        return {State::retry, {}, std::move(why), std::move(what_to_do), {}, false};
    }
    static Delivery permanent(std::string why, std::string what_to_do) {
        return {State::failed, {}, std::move(why), std::move(what_to_do), {}, false};
    }
    static Delivery gone_from(const std::string& place) {
        return {State::failed, {}, place + " is not there", "it was deleted, or never copied there", {}, false, true};
    }
    static Delivery changed_at(const std::string& place) {
        return {State::failed, {},  place + " is not what was copied there", "it was changed or damaged since", {},
                false,         true};
    }
};

// The SHA-256 of a file's bytes, which may still be being worked out. Safe from any thread.
class ContentHash {
public:
    ContentHash() = default; // none
    ContentHash(std::string digits) {
        if (digits.empty()) return;
        std::promise<std::string> known;
        known.set_value(std::move(digits));
        digits_ = known.get_future().share();
    }
    explicit ContentHash(std::shared_future<std::string> digits) : digits_(std::move(digits)) {}

    bool empty() const { return !digits_.valid(); } // there is none to wait for
    bool known() const { return !empty() && digits_.wait_for(std::chrono::seconds{0}) == std::future_status::ready; }
    // Waits for it: 64 lower-case digits. None where the file is gone, has become shorter or cannot be read, and soon
    // after Progress::cancelled().
    std::string get() const { return empty() ? std::string{} : digits_.get(); }

private:
    std::shared_future<std::string> digits_;
};

// A file and its place at the remote.
struct RemoteFile {
    std::string path;            // below the remote's root, with slashes: "runs/ID/files/model.pt"
    std::filesystem::path local; // where it is read or, by get(), made
    std::uint64_t bytes = 0;     // exactly that many from its beginning: a log may grow meanwhile
    ContentHash sha256;          // of these
};

// How the remote tells of its work. Safe from any thread.
class Progress {
public:
    virtual ~Progress() = default;
    virtual void moved(std::size_t file, std::uint64_t bytes) = 0;     // so many bytes more of files[file]
    virtual void done(std::size_t file, const Delivery& delivery) = 0; // once for each file; written down at once
    virtual bool cancelled() const = 0; // true: leave off soon; files not told of stay queued
    virtual int jobs() const = 0;       // how many files, or parts of one, may be on their way at a time
};

// A place that keeps copies of run directories, in the layout of a store. One thread calls it.
class Remote {
public:
    virtual ~Remote() = default;
    // Where that is: "s3://bucket/prefix", "scp://user@host/path". Shown to people and noted with each receipt.
    virtual std::string destination() const = 0;
    // Brings these files there: each is at its place whole, verified and lasting, or not at all, when done() says
    // delivered. What stands there is replaced. A file that is there with the same hash need not be sent again. Hashes
    // come in the order of the files: one that is asked for late is waited for less.
    virtual void put(std::span<const RemoteFile> files, Progress& progress) = 0;
    // Fetches them to `local`, whose folder exists; whole and verified, or not at all. Without a hash (empty): as they
    // are.
    virtual void get(std::span<const RemoteFile> files, Progress& progress) = 0;
    // done() says delivered for those that are at the remote with these bytes, as it says itself or as read again, and
    // failed for those that are not.
    virtual void verify(std::span<const RemoteFile> files, Progress& progress) = 0;
    // The names directly below a folder ("runs"); empty if there is none. Throws Error.
    virtual std::vector<std::string> list(const std::string& folder) = 0;
    // Removes what broken uploads older than that left behind. Returns how many. Throws Error.
    virtual std::size_t remove_leftovers(Milliseconds older, bool dry_run) = 0;
};

} // namespace poster
