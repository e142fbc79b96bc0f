#pragma once
// Files to send and a Progress that remembers what it is told.

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <poster/remote.hpp>

#include "files.hpp"
#include "sha256.hpp"
#include "store_fixture.hpp"

namespace poster {

class NotedProgress : public Progress {
public:
    explicit NotedProgress(int jobs = 3) : jobs_(jobs) {}

    void moved(std::size_t, std::uint64_t bytes) override { moved_bytes += bytes; }
    void done(std::size_t file, const Delivery& delivery) override {
        const std::lock_guard lock(mutex_);
        if (!deliveries.emplace(file, delivery).second) throw std::logic_error("told twice");
        if (cancel_after && deliveries.size() >= *cancel_after) cancel = true;
    }
    bool cancelled() const override { return cancel; }
    int jobs() const override { return jobs_; }

    std::size_t count(Delivery::State state) const {
        std::size_t found = 0;
        for (const auto& [file, delivery] : deliveries) found += delivery.state == state ? 1 : 0;
        return found;
    }
    const Delivery& only() const { return deliveries.at(0); }

    std::map<std::size_t, Delivery> deliveries;
    std::atomic<std::uint64_t> moved_bytes{0};
    std::atomic<bool> cancel{false};
    std::optional<std::size_t> cancel_after;

private:
    std::mutex mutex_;
    int jobs_;
};

// A file whose hash comes when its bytes have moved, not before; or after a long while, as none, so that one who waits
// for it too early fails and does not hang.
class HashedLast : public NotedProgress {
public:
    HashedLast(RemoteFile& file, bool cancels = false) : bytes_(file.bytes), cancels_(cancels) {
        const std::string hash = file.sha256.get();
        promised_ = promise_.get_future().share();
        file.sha256 = ContentHash(promised_);
        set_ = [this, hash, once = std::make_shared<std::once_flag>()](bool known) {
            std::call_once(*once, [&] { promise_.set_value(known ? hash : std::string{}); });
        };
        watchdog_ = std::jthread([this] {
            if (promised_.wait_for(std::chrono::seconds(20)) != std::future_status::ready) set_(false);
        });
    }
    ~HashedLast() override { set_(false); }

    void moved(std::size_t file, std::uint64_t bytes) override {
        NotedProgress::moved(file, bytes);
        if (moved_bytes < bytes_) return;
        cancel = cancels_;
        set_(!cancels_);
    }

private:
    std::uint64_t bytes_;
    bool cancels_;
    std::promise<std::string> promise_;
    std::shared_future<std::string> promised_;
    std::function<void(bool)> set_;
    std::jthread watchdog_;
};

// A folder with files to send, and what is needed to fetch them elsewhere.
struct RemoteFixture {
    TemporaryDirectory place;
    fs::path local = place.path() / "local";
    fs::path back = place.path() / "back";
    std::vector<RemoteFile> files;

    RemoteFixture() {
        make_directories(local);
        make_directories(back);
    }

    RemoteFile& add(const std::string& path, const std::string& content) {
        const fs::path at = local / std::to_string(files.size());
        replace_file(at, content);
        return files.emplace_back(RemoteFile{path, at, content.size(), sha256_hex(content)});
    }
    // The same files, to be made in `back`.
    std::vector<RemoteFile> to_fetch() const {
        std::vector<RemoteFile> fetched = files;
        for (std::size_t i = 0; i < fetched.size(); ++i) fetched[i].local = back / std::to_string(i);
        return fetched;
    }
};

inline std::size_t files_below(const fs::path& folder) {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) count += entry.is_regular_file() ? 1 : 0;
    return count;
}

} // namespace poster
