#include "child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "error.hpp"
#include "sigpipe.hpp"
#include "subprocess.hpp"

namespace poster {

namespace {

constexpr int kSignalled = 128; // as shells say it
constexpr std::size_t kMostErrors = 16 << 10;
constexpr std::size_t kBlock = 256 << 10;
constexpr int kNapMs = 1;
constexpr int kLargePipe = 1 << 20;

struct Pipe {
    Fd reading, writing;
};

// Never numbers 0 to 2, which are given away.
Fd above_standard(int fd) {
    if (fd > STDERR_FILENO) return Fd{fd};
    Fd low{fd};
    return Fd{check_syscall("make a pipe", ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1))};
}

Pipe make_pipe() {
    int ends[2];
    check_syscall("make a pipe", ::pipe2(ends, O_CLOEXEC));
    Pipe pipe{above_standard(ends[0]), {}};
    pipe.writing = above_standard(ends[1]);
    ::fcntl(pipe.reading.get(), F_SETPIPE_SZ, kLargePipe); // fewer turns; as it is where that is refused
    return pipe;
}

void set_nonblocking(const Fd& fd) {
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
}

} // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& argv) {
    Pipe in = make_pipe();
    Pipe out = make_pipe();
    Pipe err = make_pipe();
    const auto pid = start_command(argv, {}, {in.reading.get(), out.writing.get(), err.writing.get()});
    if (!pid && errno != ENOENT) throw_errno("start " + argv.front(), errno);
    if (!pid) throw Error("cannot start " + argv.front(), "it has to be installed, and in PATH");
    pid_ = *pid;
    input_ = std::move(in.writing);
    output_ = std::move(out.reading);
    error_ = std::move(err.reading);
    naps_ = ::fcntl(input_.get(), F_GETPIPE_SZ) >= kLargePipe;
    set_nonblocking(input_);
    set_nonblocking(output_);
    set_nonblocking(error_);
}

ChildProcess::~ChildProcess() {
    if (pid_ > 0) finish(0);
}

bool ChildProcess::exchange(Outgoing& input, std::string& output, int timeout_ms) {
    // Else each of its reads would wake this process, which costs more than what it takes.
    if (full_ && naps_) ::poll(nullptr, 0, kNapMs);
    full_ = false;
    pollfd ready[3] = {
        {input.empty() ? -1 : input_.get(), POLLOUT, 0}, {output_.get(), POLLIN, 0}, {error_.get(), POLLIN, 0}};
    if (::poll(ready, 3, timeout_ms) <= 0) return true;
    if (ready[2].revents != 0) read_errors();
    if (ready[0].revents != 0) {
        const WithoutSigpipe guarded;
        input.write_to(input_.get()); // where nobody reads it, its output tells why
        full_ = !input.empty();
    }
    if (ready[1].revents == 0) return true;
    static thread_local std::array<char, kBlock> block;
    const ssize_t got = ::read(output_.get(), block.data(), block.size());
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    output.append(block.data(), std::size_t(got));
    return got > 0;
}

void ChildProcess::read_errors() {
    char block[4096];
    ssize_t got = 0;
    while ((got = ::read(error_.get(), block, sizeof block)) > 0) errors_.append(block, std::size_t(got));
    if (got == 0) error_.close();
    if (errors_.size() > kMostErrors) errors_.erase(0, errors_.size() - kMostErrors);
}

std::optional<int> ChildProcess::reap(int flags) {
    if (code_) return code_;
    int status = 0;
    pid_t got = 0;
    do got = ::waitpid(pid_, &status, flags);
    while (got < 0 && errno == EINTR);
    if (got == 0) return {};
    code_ = got < 0 ? kSignalled : WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
    return code_;
}

int ChildProcess::finish(int timeout_ms) {
    using Clock = std::chrono::steady_clock;
    input_.close();
    const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
    std::string ignored;
    for (bool open = true; !reap(WNOHANG) && Clock::now() < deadline;) {
        Outgoing none;
        if (open) open = exchange(none, ignored, 20);
        if (!open) ::poll(nullptr, 0, 2);
        ignored.clear();
    }
    if (!code_) ::kill(-pid_, SIGKILL);
    const int code = reap(0).value_or(kSignalled);
    if (error_) read_errors();
    pid_ = -1;
    return code;
}

} // namespace poster
