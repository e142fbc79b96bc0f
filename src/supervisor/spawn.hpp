#pragma once
// Starting the child as if poster were not there.

#include <sys/types.h>

#include <array>
#include <csignal>
#include <string>
#include <vector>

#include <poster/run.hpp>

namespace poster {

// How signals were when poster was called: what the child must find.
struct CallersSignals {
    sigset_t mask{};
    struct sigaction child{}, pipe{}, file_size{};
};

struct ChildPlan {
    const RunSpec& spec;
    const std::vector<std::string>& environment; // as SupervisedRun has it
    const CallersSignals& signals;
    std::array<int, 2> output;  // for descriptors 1 and 2; -1: as they are (closed)
    std::array<bool, 3> closed; // what the caller passed closed
    bool own_group;
};

struct Spawned {
    pid_t pid = 0;
    int exec_error = 0; // errno; the child has ended with 127 or 126 and still has to be waited for
    bool in_cwd = true; // false: exec_error is about changing to the working directory
};

// Returns when exec has succeeded or failed. The process must have one thread. Throws Error when it cannot fork.
Spawned spawn_child(const ChildPlan& plan);

} // namespace poster
