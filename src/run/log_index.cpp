#include "log_index.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace poster {

namespace {

constexpr std::size_t kRead = 64UL * 1024;
constexpr std::uint64_t kMostTime = std::uint64_t(1) << 52;

std::optional<std::uint64_t> take_number(std::string_view& text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == ',')) text.remove_prefix(1);
    std::uint64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(std::size_t(end - text.data()));
    return value;
}

} // namespace

std::optional<LogPiece> parse_log_piece(std::string_view line) {
    if (line.empty() || line.front() != '[' || line.find(']') == std::string_view::npos) return std::nullopt;
    line.remove_prefix(1);
    auto time = take_number(line), offset = take_number(line), length = take_number(line), stream = take_number(line);
    if (!time || !offset || !length || !stream || *time > kMostTime || *stream < 1 || *stream > 3) return std::nullopt;
    if (*offset + *length < *offset) return std::nullopt;
    return LogPiece{std::int64_t(*time), *offset, *length, int(*stream)};
}

LogIndex::LogIndex(const std::filesystem::path& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

std::optional<LogPiece> LogIndex::read_piece() {
    while (file_) {
        if (std::size_t end = buffer_.find('\n', begin_); end != std::string::npos) {
            auto piece = parse_log_piece(std::string_view(buffer_).substr(begin_, end - begin_));
            begin_ = end + 1;
            if (piece && piece->length > 0) return piece;
            continue; // half a line, left by a crash
        }
        buffer_.erase(0, std::exchange(begin_, 0));
        std::size_t kept = buffer_.size();
        buffer_.resize(kept + kRead);
        ssize_t got = ::read(file_.get(), buffer_.data() + kept, kRead);
        buffer_.resize(kept + std::size_t(std::max<ssize_t>(got, 0)));
        if (got <= 0) return std::nullopt;
    }
    return std::nullopt;
}

std::optional<LogPiece> LogIndex::next(std::uint64_t log_end, bool complete) {
    if (position_ >= log_end) return std::nullopt;
    while (!ahead_ || ahead_->offset + ahead_->length <= position_) {
        ahead_ = read_piece();
        if (!ahead_) break;
    }
    if (!ahead_ && !complete) return std::nullopt;
    LogPiece piece;
    if (!ahead_ || ahead_->offset > position_) {
        std::uint64_t end = ahead_ ? std::min(ahead_->offset, log_end) : log_end;
        piece = {time_ms_, position_, end - position_, 1};
    } else {
        std::uint64_t end = std::min(ahead_->offset + ahead_->length, log_end);
        piece = {ahead_->time_ms, position_, end - position_, ahead_->stream};
    }
    position_ += piece.length;
    time_ms_ = piece.time_ms;
    return piece;
}

} // namespace poster
