#include "commands.hpp"

#include <error.hpp>

namespace poster {

int log_event(const LogArguments&) {
    throw Error("not there yet");
}

} // namespace poster
