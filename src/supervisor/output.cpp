#include "output.hpp"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>

namespace poster {

namespace {

constexpr std::size_t kReadSize = 128UL * 1024; // larger ones leave the processor's cache: slower, measured
constexpr std::size_t kPipeSize = 512UL * 1024;
constexpr std::size_t kLeastRead = 4096; // what a terminal gives at a time
constexpr std::size_t kSinkLimit = 1024UL * 1024;
constexpr std::size_t kCarefulChunk = 4096; // POLLOUT promises this much without blocking

bool same_open_file(int a, int b) {
    pid_t self = ::getpid();
    long answer = ::syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);
    if (answer >= 0) return answer == 0;
    // kcmp may be denied in containers. Equal facts are no proof, but the price of a mistake is small.
    struct stat x{};
    struct stat y{};
    if (::fstat(a, &x) != 0 || ::fstat(b, &y) != 0) return false;
    bool same = x.st_dev == y.st_dev && x.st_ino == y.st_ino && ::fcntl(a, F_GETFL) == ::fcntl(b, F_GETFL);
    return same && (!S_ISREG(x.st_mode) || ::lseek(a, 0, SEEK_CUR) == ::lseek(b, 0, SEEK_CUR));
}

bool same_terminal(int a, int b) {
    struct stat x{};
    struct stat y{};
    return ::fstat(a, &x) == 0 && ::fstat(b, &y) == 0 && x.st_rdev == y.st_rdev;
}

} // namespace

Sink::Sink(int fd) : fd_(fd) {
    struct stat info{};
    if (::fstat(fd, &info) != 0) return;
    bool terminal = ::isatty(fd) == 1;
    if (S_ISSOCK(info.st_mode)) way_ = Way::socket;
    if (S_ISFIFO(info.st_mode) && fd == STDOUT_FILENO)
        ::fcntl(fd, F_SETPIPE_SZ, kPipeSize); // fewer wake-ups here as well
    if (S_ISFIFO(info.st_mode) || terminal) {
        way_ = Way::careful;
        std::string path = fmt::format("/proc/self/fd/{}", fd);
        own_ = Fd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (own_) way_ = Way::private_nonblocking;
    }
    pollable_ = way_ != Way::blocking;
}

bool Sink::full() const {
    return !gone_ && pending_.size() - taken_ >= kSinkLimit;
}

ssize_t Sink::put(std::string_view bytes) const {
    if (way_ == Way::socket) return ::send(target(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (way_ != Way::careful) return ::write(target(), bytes.data(), bytes.size());
    pollfd ready{target(), POLLOUT, 0};
    if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) {
        errno = (ready.revents & POLLERR) != 0 ? EPIPE : EAGAIN;
        return -1;
    }
    return ::write(target(), bytes.data(), std::min(bytes.size(), kCarefulChunk));
}

void Sink::write(std::string_view bytes) {
    if (gone_ || reader_left_) return;
    if (pending_.empty()) {
        while (!bytes.empty()) {
            ssize_t n = put(bytes);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
            if (n <= 0) return drop(n == 0 ? EIO : errno);
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
    }
    pending_.append(bytes);
}

void Sink::on_writable() {
    std::string rest;
    rest.swap(pending_);
    std::size_t taken = std::exchange(taken_, 0);
    std::string_view bytes = std::string_view(rest).substr(taken);
    while (!bytes.empty()) {
        ssize_t n = put(bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (n <= 0) return drop(n == 0 ? EIO : errno);
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    if (bytes.empty()) return;
    taken_ = rest.size() - bytes.size();
    pending_.swap(rest);
}

void Sink::drop(int error) {
    pending_.clear();
    taken_ = 0;
    if (error == EPIPE || error == EIO || error == ECONNRESET) return reader_has_left();
    if (!warned_)
        say(fmt::format("warning: cannot write to descriptor {}: {}; the command goes on", fd_, std::strerror(error)));
    warned_ = true;
    gone_ = true;
}

void Sink::reader_has_left() {
    pending_.clear();
    taken_ = 0;
    reader_left_ = true;
}

void Sink::close() {
    own_.close();
    gone_ = true;
    if (fd_ != STDOUT_FILENO) return; // poster's last words need descriptor 2
    set_to_null({fd_});
}

OutputPlan::OutputPlan(const std::array<bool, 3>& closed) : buffer_(kReadSize, '\0') {
    bool both_open = !closed[1] && !closed[2];
    bool terminals = both_open && ::isatty(1) == 1 && ::isatty(2) == 1;
    bool shared = both_open && (terminals ? same_terminal(1, 2) : same_open_file(1, 2));
    if (shared) {
        add_source(1, Stream::both, closed);
        child_ends_[1] = child_ends_[0];
    } else {
        add_source(1, Stream::out, closed);
        add_source(2, Stream::err, closed);
    }
    if (terminal_) modes_.emplace(terminal_.get());
}

void OutputPlan::add_source(int fd, Stream stream, const std::array<bool, 3>& closed) {
    if (closed[static_cast<std::size_t>(fd)]) return;
    Source source;
    source.stream = stream;
    source.sink = std::make_unique<Sink>(fd);
    source.is_pty = ::isatty(fd) == 1;
    if (source.is_pty) {
        if (!terminal_) terminal_ = Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        Pty pty = open_pty(fd);
        source.read_end = std::move(pty.master);
        child_side_.push_back(std::move(pty.slave));
    } else {
        std::array<int, 2> ends{};
        check_syscall("make a pipe", ::pipe2(ends.data(), O_CLOEXEC));
        source.read_end = Fd(ends[0]);
        child_side_.emplace_back(ends[1]);
        // Not of stderr: what a user may have in pipes, many runs at once would use up.
        if (stream != Stream::err)
            ::fcntl(ends[0], F_SETPIPE_SZ, kPipeSize); // fewer wake-ups; refused beyond the user's pipe quota
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    child_ends_[static_cast<std::size_t>(fd - 1)] = child_side_.back().get();
    sources_.push_back(std::move(source));
}

bool OutputPlan::open() const {
    return std::any_of(sources_.begin(), sources_.end(), [](const Source& it) { return bool(it.read_end); });
}

void OutputPlan::drain(OutputLog& log) {
    for (auto& source : sources_) {
        // As much as a pipe can hold: a background process that goes on writing is cut off there.
        for (std::size_t taken = 0; source.read_end && taken < 2 * kPipeSize; taken += kLeastRead)
            if (!read_source(source, log)) break;
    }
}

void OutputPlan::close(OutputLog& log) {
    drain(log);
    for (auto& source : sources_) source.read_end.close();
}

void OutputPlan::add_to(std::vector<pollfd>& polled) const {
    for (const auto& source : sources_) {
        bool wants = source.read_end && !source.sink->full();
        polled.push_back({wants ? source.read_end.get() : -1, POLLIN, 0});
        short events = source.sink->idle() ? 0 : POLLOUT; // POLLERR comes unasked: a reader that left is seen early
        bool watch = bool(source.read_end) || !source.sink->idle();
        polled.push_back({watch ? source.sink->poll_fd() : -1, events, 0});
    }
}

bool OutputPlan::pump(const std::vector<pollfd>& polled, OutputLog& log) {
    bool seen = false;
    std::size_t first = polled.size() - 2 * sources_.size();
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        auto& source = sources_[i];
        const pollfd& in = polled[first + 2 * i];
        const pollfd& out = polled[first + 2 * i + 1];
        if (out.fd >= 0 && (out.revents & POLLOUT) != 0) source.sink->on_writable();
        if (out.fd >= 0 && (out.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) source.sink->reader_has_left();
        if (in.fd >= 0 && in.revents != 0) seen |= read_source(source, log);
        if (source.sink->reader_left()) end_source(source);
        if (!source.read_end && source.sink->idle() && !source.sink->gone()) source.sink->close();
    }
    return seen;
}

bool OutputPlan::read_source(Source& source, OutputLog& log) {
    ssize_t n = ::read(source.read_end.get(), buffer_.data(), buffer_.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    if (n <= 0) { // EOF of a pipe; EIO of a pty whose last slave was closed
        end_source(source);
        return false;
    }
    std::string_view bytes(buffer_.data(), static_cast<std::size_t>(n));
    if (source.is_pty) {
        auto kind = static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
        if ((kind & TIOCPKT_IOCTL) != 0 && modes_) modes_->copy_from(source.read_end.get());
        if (kind != TIOCPKT_DATA || bytes.empty()) return true;
    }
    log.append(source.stream, bytes, std::chrono::steady_clock::now());
    source.sink->write(bytes);
    return true;
}

void OutputPlan::end_source(Source& source) const {
    source.read_end.close();
}

bool OutputPlan::flushed() const {
    return std::all_of(sources_.begin(), sources_.end(), [](const Source& it) { return it.sink->idle(); });
}

void OutputPlan::flush_sinks(int timeout_ms) {
    for (auto& source : sources_) {
        while (!source.sink->idle() && !source.sink->reader_left()) {
            pollfd ready{source.sink->poll_fd(), POLLOUT, 0};
            if (::poll(&ready, 1, timeout_ms) != 1) break;
            source.sink->on_writable();
        }
        source.sink->close();
    }
}

void OutputPlan::window_changed() const {
    for (const auto& source : sources_)
        if (source.is_pty && source.read_end) copy_window_size(terminal_.get(), source.read_end.get());
}

void OutputPlan::child_died_of_signal() {
    if (modes_) modes_->restore();
}

} // namespace poster
