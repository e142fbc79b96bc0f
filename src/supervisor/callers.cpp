#include "callers.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <error.hpp>
#include <process.hpp>

namespace poster {

namespace {

sigset_t handled_signals() {
    sigset_t set;
    ::sigfillset(&set);
    for (int kept : {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGTTOU, SIGPIPE, SIGXFSZ})
        ::sigdelset(&set, kept);
    // An ignored signal that is blocked would still be queued, and nohup undone.
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
        if (signal != SIGCHLD && is_ignored(signal)) ::sigdelset(&set, signal);
    return set;
}

} // namespace

Supervisor::Callers::Callers() {
    extra = open_descriptors();
    for (int fd : {0, 1, 2}) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        closed[static_cast<std::size_t>(fd)] = true;
        check_syscall("open /dev/null", ::open("/dev/null", O_RDWR | O_CLOEXEC)); // lands on fd: the lowest free one
    }
    sigset_t set = handled_signals();
    check_syscall("block signals", ::sigprocmask(SIG_BLOCK, &set, &signals.mask));
    struct sigaction by_default{};
    by_default.sa_handler = SIG_DFL;
    struct sigaction ignored{};
    ignored.sa_handler = SIG_IGN;
    ::sigaction(SIGCHLD, &by_default, &signals.child);
    ::sigaction(SIGPIPE, &ignored, &signals.pipe);
    ::sigaction(SIGXFSZ, &ignored, &signals.file_size);
    signal_fd = Fd(check_syscall("open a signal descriptor", ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)));
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    terminal = Fd(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
    has_terminal = bool(terminal);
    for (int fd : {0, 1, 2}) // a bare chroot has no /dev/tty
        if (::isatty(fd) == 1 && ::tcgetsid(fd) == ::getsid(0)) has_terminal = true;
}

std::vector<int> open_descriptors() {
    std::vector<int> found;
    DIR* dir = ::opendir("/proc/self/fd");
    if (dir == nullptr) return found;
    while (const dirent* entry = ::readdir(dir)) {
        int fd = std::atoi(entry->d_name);
        if (fd >= 3 && fd != ::dirfd(dir)) found.push_back(fd);
    }
    ::closedir(dir);
    return found;
}

} // namespace poster
