#include "error.hpp"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string_view>

namespace poster {

namespace {

constexpr int kPatienceMs = 1000; // with a reader that reads nothing

// Keeps a write to a closed pipe, or from the background, from killing or stopping this process.
class QuietWrite {
public:
    QuietWrite() {
        ::sigemptyset(&signals_);
        ::sigaddset(&signals_, SIGPIPE);
        ::sigaddset(&signals_, SIGTTOU);
        sigset_t pending;
        ::sigpending(&pending);
        had_pipe_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::pthread_sigmask(SIG_BLOCK, &signals_, &former_);
    }
    QuietWrite(const QuietWrite&) = delete;
    QuietWrite& operator=(const QuietWrite&) = delete;
    ~QuietWrite() {
        if (broken_ && !had_pipe_) {
            sigset_t pipe;
            ::sigemptyset(&pipe);
            ::sigaddset(&pipe, SIGPIPE);
            const timespec none{};
            while (::sigtimedwait(&pipe, nullptr, &none) == -1 && errno == EINTR) {
            }
        }
        ::pthread_sigmask(SIG_SETMASK, &former_, nullptr);
    }
    void note_broken() { broken_ = true; }

private:
    sigset_t signals_{};
    sigset_t former_{};
    bool had_pipe_ = false;
    bool broken_ = false;
};

void write_stderr(std::string_view bytes) {
    const int saved = errno;
    QuietWrite quiet;
    while (!bytes.empty()) {
        pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        if (::poll(&ready, 1, kPatienceMs) == 0) break;
        const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
        if (written > 0) {
            bytes.remove_prefix(std::size_t(written));
        } else if (written < 0 && errno == EPIPE) {
            quiet.note_broken();
            break;
        } else if (written == 0 || (errno != EINTR && errno != EAGAIN)) {
            break;
        }
    }
    errno = saved;
}

std::string prefixed(std::string_view message) {
    while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
    std::string lines;
    for (std::size_t begin = 0; begin <= message.size();) {
        const std::size_t end = std::min(message.find('\n', begin), message.size());
        lines.append("poster: ").append(message.substr(begin, end - begin)).append("\n");
        begin = end + 1;
    }
    return lines;
}

} // namespace

int check_syscall(const std::string& attempt, int result) {
    if (result < 0) throw_errno(attempt, errno);
    return result;
}

void throw_errno(const std::string& attempt, int error) {
    throw SystemError(attempt + ": " + std::strerror(error), error);
}

void say(const std::string& message, bool fresh_line) {
    write_stderr((fresh_line ? "\n" : "") + prefixed(message));
}

void complain(const Error& error) {
    std::string message = prefixed(error.what());
    if (!error.help().empty()) message += prefixed("help: " + error.help());
    write_stderr(message);
}

} // namespace poster
