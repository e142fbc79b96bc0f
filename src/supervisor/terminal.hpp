#pragma once
// The pty that stands in for a terminal the child writes to, and the real terminal behind it.

#include <termios.h>

#include <optional>

#include <fd.hpp>

namespace poster {

struct Pty {
    Fd master; // packet mode, non-blocking
    Fd slave;  // for the child; modes and size are the real terminal's, but no output processing
};

// Throws Error. `terminal` is the real one.
Pty open_pty(int terminal);
void copy_window_size(int from_terminal, int to_master);

// Carries mode changes that the child makes through the pty to the real terminal, and mends it at the end.
class TerminalModes {
public:
    explicit TerminalModes(int terminal); // remembers the modes of the start
    void copy_from(int slave_or_master);  // does nothing from the background
    // After a child that died of a signal could not: back to the modes of the start, if the child changed them through
    // us.
    void restore();

private:
    bool in_foreground() const;
    int terminal_;
    std::optional<termios> before_;
    bool changed_ = false;
};

} // namespace poster
