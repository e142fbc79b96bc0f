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
    Fd terminal; // /dev/tty
};

std::vector<int> open_descriptors();                  // all from 3 up
void close_descriptors_except(std::vector<int> kept); // of these

} // namespace poster
