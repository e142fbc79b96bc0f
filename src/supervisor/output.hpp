#pragma once
// What the child gets as descriptors 1 and 2, and the way of its bytes to the log and to poster's own descriptors.
//
//   poster's descriptor                        the child gets
//   a terminal                                 a pty slave (one for both, where both are the same terminal)
//   not a terminal                             a pipe (one for both, where both are the same open file: keeps their
//   order) closed                                     closed

#include <poll.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fd.hpp>

#include "output_log.hpp"
#include "terminal.hpp"

namespace poster {

// Where bytes go. Never sets O_NONBLOCK on a description that others share.
class Sink {
public:
    explicit Sink(int fd);
    void write(std::string_view bytes);
    void on_writable(); // poll said so
    bool full() const;
    bool idle() const { return gone_ || pending_.empty(); }
    bool gone() const { return gone_; }               // dropped: the child is not to notice
    bool reader_left() const { return reader_left_; } // the child is to notice, as without poster
    void reader_has_left();
    int poll_fd() const { return pollable_ && !gone_ ? target() : -1; }
    void close(); // so that the reader sees the end when the child's stream ends

private:
    enum class Way { blocking, private_nonblocking, socket, careful };
    int target() const { return own_ ? own_.get() : fd_; }
    ssize_t put(std::string_view bytes) const;
    void drop(int error);

    int fd_;
    Fd own_;
    Way way_ = Way::blocking;
    bool pollable_ = false;
    bool gone_ = false, reader_left_ = false, warned_ = false;
    std::string pending_;
    std::size_t taken_ = 0; // of pending_
};

// One thing the child writes to.
struct Source {
    Fd read_end;
    bool is_pty = false;
    Stream stream = Stream::out;
    std::unique_ptr<Sink> sink;
};

class OutputPlan {
public:
    // `closed[n]`: the caller passed descriptor n closed. Throws Error.
    explicit OutputPlan(const std::array<bool, 3>& closed);

    // What the child's descriptors 1 and 2 become; -1: closed. Valid until close_child_ends().
    std::array<int, 2> child_ends() const { return child_ends_; }
    void close_child_ends() { child_side_.clear(); }

    bool open() const;          // the child, or a descendant of it, may still write
    void drain(OutputLog& log); // reads what is there already
    void close(OutputLog& log); // what is written already still goes its way
    void add_to(std::vector<pollfd>& polled) const;
    // Reads and writes what poll() found ready. True if the child had written something.
    bool pump(const std::vector<pollfd>& polled, OutputLog& log);
    bool flushed() const;
    void flush_sinks(int timeout_ms); // at the end: what is queued still has to arrive
    void window_changed() const;
    void child_died_of_signal();

private:
    void add_source(int fd, Stream stream, const std::array<bool, 3>& closed);
    bool read_source(Source& source, OutputLog& log);
    void end_source(Source& source) const;

    std::vector<Source> sources_;
    std::vector<Fd> child_side_;
    std::array<int, 2> child_ends_{-1, -1};
    Fd terminal_; // poster's own descriptor of it: 1 and 2 are let go when the child's streams end
    std::optional<TerminalModes> modes_;
    std::string buffer_;
};

} // namespace poster
