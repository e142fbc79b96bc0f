#include "index_sources.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <memory>
#include <system_error>
#include <thread>

#include <error.hpp>
#include <fd.hpp>

namespace poster {

namespace {

constexpr long kSettledNs = 1'000'000'000; // within this time a directory may change without its mtime changing
constexpr long kBeingMadeSeconds = 60;
constexpr std::size_t kBatch = 250; // directories that one thread reads before it hands them on
constexpr std::size_t kThreads = 8;
constexpr std::size_t kAhead = 32; // batches in memory

std::int64_t mtime_ns(const struct stat& facts) {
    return std::int64_t(facts.st_mtim.tv_sec) * 1'000'000'000 + facts.st_mtim.tv_nsec;
}

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

} // namespace

DirectoryState state_of(const fs::path& directory) {
    struct stat facts{};
    if (::stat(directory.c_str(), &facts) != 0) return {};
    return {std::int64_t(facts.st_ino), mtime_ns(facts)};
}

bool has_just_changed(const DirectoryState& directory) {
    return now_ns() - directory.mtime < kSettledNs;
}

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

std::int64_t read_lines(const fs::path& path, std::int64_t offset, const std::function<void(std::string_view)>& visit) {
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

DirectoryReader::DirectoryReader(const Store& store, const std::vector<std::string>& ids)
    : store_(store), ids_(ids), count_((ids.size() + kBatch - 1) / kBatch) {}

// Ends the threads also where `visit` throws; destroyed before they are joined.
class DirectoryReader::Stop {
public:
    explicit Stop(DirectoryReader& of) : reader_(of) {}
    Stop(const Stop&) = delete;
    Stop& operator=(const Stop&) = delete;
    ~Stop() {
        const std::lock_guard guard{reader_.mutex_};
        reader_.stopped_ = true;
        reader_.changed_.notify_all();
    }

private:
    DirectoryReader& reader_;
};

void DirectoryReader::read(const Visit& visit) {
    std::vector<std::jthread> threads;
    const Stop stop{*this};
    try {
        const std::size_t count = count_ < 2 ? 0 : std::min(kThreads, count_);
        for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    } catch (const std::system_error&) { // a limit on processes: with fewer, then, or alone
    }
    if (threads.empty()) {
        for (const auto& id : ids_) visit(id, read_one(id));
        return;
    }
    for (std::size_t i = 0; i < count_; ++i) {
        const auto entries = take(i);
        for (std::size_t k = 0; k < entries.size(); ++k) visit(ids_[i * kBatch + k], entries[k]);
    }
}

std::optional<IndexEntry> DirectoryReader::read_one(const std::string& id) const noexcept {
    try {
        return entry_of_directory(store_.run_dir(id), store_.is_active(id) ? Values::leave : Values::read);
    } catch (const std::exception&) {
        return {};
    }
}

void DirectoryReader::work() {
    for (;;) {
        std::size_t mine = 0;
        {
            std::unique_lock guard{mutex_};
            mine = next_++;
            changed_.wait(guard, [&] { return stopped_ || mine < taken_ + kAhead; });
            if (stopped_ || mine >= count_) return;
        }
        Batch entries;
        const std::size_t end = std::min(ids_.size(), (mine + 1) * kBatch);
        for (std::size_t i = mine * kBatch; i < end; ++i) entries.push_back(read_one(ids_[i]));
        const std::lock_guard guard{mutex_};
        batches_[mine] = std::move(entries);
        changed_.notify_all();
    }
}

DirectoryReader::Batch DirectoryReader::take(std::size_t number) {
    std::unique_lock guard{mutex_};
    changed_.wait(guard, [&] { return batches_.contains(number); });
    Batch entries = std::move(batches_[number]);
    batches_.erase(number);
    taken_ = number + 1;
    changed_.notify_all();
    return entries;
}

} // namespace poster
