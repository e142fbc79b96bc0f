#pragma once
// output.idx: which bytes of output.log came when, on which stream. One JSON array per line,
// [milliseconds since the attempt's start, offset, length, stream]; stream 1 stdout, 2 stderr, 3 both in one.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <fd.hpp>

namespace poster {

struct LogPiece {
    std::int64_t time_ms = 0;
    std::uint64_t offset = 0, length = 0;
    int stream = 1;
    bool operator==(const LogPiece&) const = default;
};

std::optional<LogPiece> parse_log_piece(std::string_view line);

// Cuts output.log into pieces, in order. Reads on where it stopped when the index has grown since.
class LogIndex {
public:
    explicit LogIndex(const std::filesystem::path& path);

    // The next piece that begins before `log_end`. Bytes that the index leaves out count as stdout, at the time of
    // those before them; at the very end only if `complete`, as their line may be still to come.
    std::optional<LogPiece> next(std::uint64_t log_end, bool complete);

private:
    std::optional<LogPiece> read_piece();

    Fd file_;
    std::string buffer_;
    std::size_t begin_ = 0;         // of the unread part of buffer_
    std::optional<LogPiece> ahead_; // read, but not reached
    std::uint64_t position_ = 0;    // in the log
    std::int64_t time_ms_ = 0;
};

} // namespace poster
