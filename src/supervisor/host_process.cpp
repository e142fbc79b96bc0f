#include "host_process.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include <error.hpp>
#include <files.hpp>
#include <process.hpp>

#include "callers.hpp"

namespace poster {

namespace {

constexpr int kReapTries = 200;
constexpr useconds_t kReapStepUs = 1000;
constexpr std::size_t kMostUnsent = 1000;

} // namespace

HostProcess::HostProcess(const SupervisedRun& run) : run_(run), page_(map_shared_page()) {
    if (run.prepares) sealed_ = Fd(::memfd_create("sealed-spec", MFD_CLOEXEC));
}

void HostProcess::start() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) return;
    Fd ours(ends[0]);
    Fd theirs(ends[1]);
    ++starts_;
    pid_ = ::fork();
    if (pid_ != 0) {
        link_ = std::move(ours);
        return;
    }
    // `pkill poster` means the supervisor, and `pkill -f train.py` also its child: then the canary is to be hit as
    // well.
    ::prctl(PR_SET_NAME, "run-host");
    show_command_line(run_.spec.argv);
    ours.close();
    std::vector<int> kept = run_.host_keeps;
    kept.push_back(theirs.get());
    if (sealed_) kept.push_back(sealed_.get());
    close_descriptors_except(kept);
    // Nobody's reader may wait for the end of a stream that this process holds open.
    set_to_null({0, 1, 2});
    try {
        ::_exit(run_.host(std::move(theirs), sealed_.get(), page_));
    } catch (...) { // nothing of the host's may run the supervisor's code
        ::_exit(kOwnFailure);
    }
}

void HostProcess::tell(LinkKind kind, int number, std::string text) {
    if (kind == LinkKind::started) told_started_ = number;
    if (kind == LinkKind::not_started) told_not_started_ = true;
    if (kind == LinkKind::ended) told_ended_ = text;
    LinkMessage message;
    message.kind = kind;
    message.number = number;
    message.text = std::move(text);
    if (unsent_.size() < kMostUnsent) unsent_.push_back(std::move(message));
    send_unsent();
}

bool HostProcess::send_unsent() {
    while (link_ && !unsent_.empty() && send_message(link_.get(), unsent_.front())) unsent_.pop_front();
    return unsent_.empty();
}

Receive HostProcess::hear(LinkMessage& message) {
    if (!link_) return Receive::closed;
    Receive result = receive_message(link_.get(), message);
    if (result == Receive::message && message.kind == LinkKind::prepared) prepared_ = true;
    return result;
}

bool HostProcess::died(int status) {
    pid_ = 0;
    // Every other signal is blocked in it: SIGKILL comes from outside, the rest from what it was doing.
    if (page_ != nullptr) page_->host_faulted = !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
    link_.close();
    unsent_.clear();
    if (starts_ >= 2) return false;
    start();
    if (pid_ <= 0) return false;
    if (told_started_) tell(LinkKind::started, *told_started_);
    if (told_not_started_) tell(LinkKind::not_started);
    if (told_ended_) tell(LinkKind::ended, 0, std::string(*told_ended_));
    return true;
}

void HostProcess::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    // Not for ever: a thread of it may hang in a dead disk's read.
    for (int i = 0; i < kReapTries && ::waitpid(pid_, nullptr, WNOHANG) == 0; ++i) ::usleep(kReapStepUs);
    pid_ = 0;
}

std::optional<std::string> HostProcess::sealed_spec() const {
    if (!sealed_) return std::nullopt;
    std::string text;
    std::array<char, 65536> buffer{};
    ssize_t n = 0;
    while ((n = ::pread(sealed_.get(), buffer.data(), buffer.size(), static_cast<off_t>(text.size()))) > 0)
        text.append(buffer.data(), static_cast<std::size_t>(n));
    if (text.empty()) return std::nullopt;
    return text;
}

} // namespace poster
