#pragma once
// The files that the index is made from: the feeds, and the run directories.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "index_entry.hpp"
#include "store.hpp"

namespace poster {

// Tells whether a directory has changed; all zero where there is none.
struct DirectoryState {
    std::int64_t inode = 0, mtime = 0; // mtime in ns since 1970
    bool operator==(const DirectoryState&) const = default;
};
DirectoryState state_of(const fs::path& directory);
// It may still change without its mtime changing.
bool has_just_changed(const DirectoryState& directory);

struct FeedState {
    std::int64_t inode = 0, size = 0, offset = 0; // offset: read up to there; what follows is not a whole line
};
using Feeds = std::map<std::string, FeedState>; // by file name
Feeds feeds_of(const Store& store);

// Calls visit(line) for each whole line from `offset` on; returns where the next one begins.
std::int64_t read_lines(const fs::path& path, std::int64_t offset, const std::function<void(std::string_view)>& visit);
// Of a feed that is read as far as `size`, where its last line ends.
std::int64_t last_line_end(const fs::path& path, std::int64_t size);

std::unordered_set<std::string> run_directories(const Store& store); // throws Error
// A run directory without run.json that is young enough to get one yet.
bool is_being_made(const fs::path& run_dir);

// Reads run directories with several threads, as on a cold or remote disk each read is a wait, and hands the entries on
// in order, to the calling thread.
class DirectoryReader {
public:
    DirectoryReader(const Store& store, const std::vector<std::string>& ids);

    using Visit = std::function<void(const std::string& id, const std::optional<IndexEntry>&)>;
    void read(const Visit& visit);

private:
    using Batch = std::vector<std::optional<IndexEntry>>;
    class Stop;

    std::optional<IndexEntry> read_one(const std::string& id) const noexcept;
    void work();
    Batch take(std::size_t number);

    const Store& store_;
    const std::vector<std::string>& ids_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t count_;                    // of batches
    std::map<std::size_t, Batch> batches_; // read, and not yet taken
    std::size_t next_ = 0, taken_ = 0;
    bool stopped_ = false;
};

} // namespace poster
