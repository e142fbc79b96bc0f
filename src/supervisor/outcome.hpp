#pragma once
// From what the supervisor saw to the outcome of the attempt. Pure.

#include <sys/resource.h>

#include <optional>
#include <string>

#include "decide.hpp"

namespace poster {

struct Observations {
    explicit Observations(const SupervisorState& observed) : state(observed) {}

    const SupervisorState& state;
    rusage usage{};
    Milliseconds duration{0};
    std::uint64_t sampled_peak_bytes = 0;
    bool oom_killer_struck = false; // the count of OOM kills rose while the child ran
    int exec_error = 0;
    std::string stderr_tail;
    int left_behind = 0;
    bool log_truncated = false;
};

Outcome compose_outcome(const Observations& seen);
// The last line of a Python traceback that ends the text: "ValueError: boom". Empty: there is none.
std::string last_traceback_line(std::string_view text);

} // namespace poster
