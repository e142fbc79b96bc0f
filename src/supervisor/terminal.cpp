#include "terminal.hpp"

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include <error.hpp>

namespace poster {

Pty open_pty(int terminal) {
    Pty pty;
    pty.master = Fd(check_syscall("open a pty", ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)));
    check_syscall("grant the pty", ::grantpt(pty.master.get()));
    check_syscall("unlock the pty", ::unlockpt(pty.master.get()));
    // Opened by ioctl, not by name: a container may have another /dev/pts than the one this pty lives in.
    int slave = ::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) slave = ::open(::ptsname(pty.master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC);
    pty.slave = Fd(check_syscall("open the pty's other end", slave));

    termios modes{};
    if (::tcgetattr(terminal, &modes) == 0) {
        modes.c_oflag &= ~static_cast<tcflag_t>(OPOST); // the real terminal does NL→CRNL, once
        modes.c_lflag |= EXTPROC;                       // with packet mode: mode changes are reported to the master
        ::tcsetattr(pty.slave.get(), TCSANOW, &modes);
    }
    copy_window_size(terminal, pty.master.get());
    int on = 1;
    check_syscall("set the pty's packet mode", ::ioctl(pty.master.get(), TIOCPKT, &on));
    return pty;
}

void copy_window_size(int from_terminal, int to_master) {
    winsize size{};
    if (::ioctl(from_terminal, TIOCGWINSZ, &size) == 0) ::ioctl(to_master, TIOCSWINSZ, &size);
}

TerminalModes::TerminalModes(int terminal) : terminal_(terminal) {
    termios modes{};
    if (terminal_ >= 0 && ::tcgetattr(terminal_, &modes) == 0) before_ = modes;
}

bool TerminalModes::in_foreground() const {
    return ::tcgetpgrp(terminal_) == ::getpgrp();
}

void TerminalModes::copy_from(int pty) {
    termios wanted{};
    termios real{};
    if (!before_ || !in_foreground() || ::tcgetattr(pty, &wanted) != 0 || ::tcgetattr(terminal_, &real) != 0) return;
    real.c_iflag = wanted.c_iflag;
    real.c_lflag = wanted.c_lflag & ~static_cast<tcflag_t>(EXTPROC);
    real.c_oflag = (wanted.c_oflag & ~static_cast<tcflag_t>(OPOST)) | (real.c_oflag & OPOST);
    for (int i = 0; i < NCCS; ++i) real.c_cc[i] = wanted.c_cc[i];
    ::tcsetattr(terminal_, TCSANOW, &real);
    changed_ = true;
    if ((wanted.c_lflag & EXTPROC) == 0) { // the child wrote modes of its own making: ask for reports again
        wanted.c_lflag |= EXTPROC;
        ::tcsetattr(pty, TCSANOW, &wanted);
    }
}

void TerminalModes::restore() {
    if (before_ && changed_ && in_foreground()) ::tcsetattr(terminal_, TCSANOW, &*before_);
    changed_ = false;
}

} // namespace poster
