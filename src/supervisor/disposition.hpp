#pragma once
// What a process does with a signal.

#include <sys/types.h>

namespace poster {

bool has_default_action(pid_t pid, int signal); // it neither catches nor ignores it; false: it is gone

} // namespace poster
