#include "outgoing.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace poster {

namespace {

constexpr std::size_t kBlock = 64 << 10;
constexpr std::size_t kMostSent = 64 << 10; // that is kept

long copy(int file, std::uint64_t offset, std::size_t bytes, int pipe) {
    static thread_local std::array<char, kBlock> block;
    const ssize_t got = ::pread(file, block.data(), std::min(bytes, block.size()), off_t(offset));
    return got > 0 ? ::write(pipe, block.data(), std::size_t(got)) : got;
}

bool is_of_the_pipe(int error) {
    return error == EAGAIN || error == EINTR || error == EPIPE;
}

} // namespace

void Outgoing::add(std::string_view bytes) {
    bytes_ += bytes;
    size_ += bytes.size();
}

void Outgoing::add_piece(int file, std::uint64_t offset, std::size_t bytes, Failed failed) {
    if (bytes == 0) return;
    pieces_.push_back({bytes_.size(), file, offset, bytes, std::move(failed)});
    size_ += bytes;
}

void Outgoing::clear() {
    bytes_.clear();
    pieces_.clear();
    sent_ = size_ = 0;
}

void Outgoing::write_to(int pipe) {
    while (!empty()) {
        const long count = move(pipe);
        if (count >= 0)
            moved(std::size_t(count));
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return clear();
    }
    if (!empty() && sent_ <= kMostSent) return;
    bytes_.erase(0, sent_);
    for (auto& piece : pieces_) piece.behind -= sent_;
    sent_ = 0;
}

long Outgoing::move(int pipe) {
    const std::size_t until = pieces_.empty() ? bytes_.size() : pieces_.front().behind;
    if (sent_ < until) return ::write(pipe, bytes_.data() + sent_, until - sent_);
    return move_piece(pipe, pieces_.front());
}

long Outgoing::move_piece(int pipe, Piece& piece) {
    if (piece.readable) {
        loff_t at = loff_t(piece.offset);
        long count = -1;
        if (splices_) {
            count = ::splice(piece.file, &at, pipe, nullptr, piece.bytes, SPLICE_F_NONBLOCK | SPLICE_F_MORE);
            if (count < 0 && !is_of_the_pipe(errno))
                splices_ = false; // whatever is wrong, the copy's error is the true one
        }
        if (!splices_) count = copy(piece.file, piece.offset, piece.bytes, pipe);
        if (count > 0 || (count < 0 && is_of_the_pipe(errno))) return count;
        piece.readable = false;
        piece.failed(count < 0 ? errno : 0);
    }
    static constexpr std::array<char, kBlock> kZeros{};
    return ::write(pipe, kZeros.data(), std::min(piece.bytes, kZeros.size()));
}

void Outgoing::moved(std::size_t count) {
    size_ -= count;
    const std::size_t until = pieces_.empty() ? bytes_.size() : pieces_.front().behind;
    if (sent_ < until) {
        sent_ += count;
        return;
    }
    Piece& piece = pieces_.front();
    piece.offset += count;
    piece.bytes -= count;
    if (piece.bytes == 0) pieces_.pop_front();
}

} // namespace poster
