#pragma once
// What poster was called with: signals, closed and extra descriptors. Saved before anything changes it.

#include <array>
#include <csignal>
#include <vector>

#include <fd.hpp>

#include "spawn.hpp"
#include "supervisor.hpp"

namespace poster {

struct Supervisor::Callers {
    Callers(); // opens /dev/null where 0–2 were closed; blocks what poster handles; throws Error

    CallersSignals signals;
    std::array<bool, 3> closed{};
    std::vector<int> extra; // descriptors from 3 up that were passed to the child as well
    Fd signal_fd;
    Fd terminal;               // /dev/tty
    bool has_terminal = false; // a controlling one
};

std::vector<int> open_descriptors(); // all from 3 up

} // namespace poster
