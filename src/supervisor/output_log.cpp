#include "output_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>

namespace poster {

namespace {

using namespace std::chrono_literals;

constexpr auto kCoalesce = 100ms;
constexpr auto kRetryEvery = 10s;
constexpr std::uint64_t kSyncedLog = 64 << 20;
constexpr std::size_t kTailBytes = 16UL * 1024;

} // namespace

OutputLog::OutputLog(const std::filesystem::path& attempt_dir, MonoTime started)
    : log_(open_append(attempt_dir / "output.log")), index_(open_append(attempt_dir / "output.idx")),
      started_(started) {
    struct stat info{};
    if (::fstat(log_.get(), &info) == 0) offset_ = static_cast<std::uint64_t>(info.st_size);
}

OutputLog::~OutputLog() {
    flush();
}

void OutputLog::append(Stream stream, std::string_view bytes, MonoTime now) {
    remember(stream, bytes);
    if (retry_at_ && now < *retry_at_) return;
    std::size_t written = 0;
    while (written < bytes.size()) {
        ssize_t n = ::write(log_.get(), bytes.data() + written, bytes.size() - written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            fail("output.log", n == 0 ? EIO : errno, now);
            break;
        }
        written += static_cast<std::size_t>(n);
    }
    if (written == bytes.size()) retry_at_.reset();
    if (written == 0) return;
    bool joins =
        open_ && open_->stream == stream && now - open_->first < kCoalesce && open_->offset + open_->length == offset_;
    if (!joins) {
        flush();
        open_ = Chunk{now, offset_, 0, stream};
    }
    open_->length += written;
    offset_ += written;
}

void OutputLog::remember(Stream stream, std::string_view bytes) {
    if (stream == Stream::out) return;
    if (bytes.size() >= kTailBytes) {
        tail_.assign(bytes.substr(bytes.size() - kTailBytes));
        return;
    }
    tail_.append(bytes);
    if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

std::optional<MonoTime> OutputLog::flush_if_due(MonoTime now) {
    if (!open_) return std::nullopt;
    if (now - open_->first < kCoalesce) return open_->first + kCoalesce;
    flush();
    return std::nullopt;
}

void OutputLog::flush() {
    if (!open_) return;
    auto at = std::chrono::duration_cast<std::chrono::milliseconds>(open_->first - started_).count();
    std::string line =
        fmt::format("[{},{},{},{}]\n", at, open_->offset, open_->length, static_cast<int>(open_->stream));
    open_.reset();
    if (index_torn_) line.insert(0, "\n"); // a full disk may have taken half of the one before
    index_torn_ = !write_all(index_.get(), line);
    if (index_torn_) truncated_ = true;
}

void OutputLog::fail(const char* what, int error, MonoTime now) {
    if (!truncated_)
        say(fmt::format("warning: cannot write {}: {}; the command goes on without it", what, std::strerror(error)));
    truncated_ = true;
    retry_at_ = now + kRetryEvery;
}

void OutputLog::close() {
    flush();
    struct stat info{};
    if (log_ && ::fstat(log_.get(), &info) == 0 && info.st_nlink == 0) truncated_ = true;
    // Starts its way to the disk, and does not wait: gigabytes would hold up the end.
    if (log_ && offset_ < kSyncedLog) ::sync_file_range(log_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    log_.close();
    index_.close();
}

} // namespace poster
