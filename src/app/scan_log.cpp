#include "commands.hpp"

#include <error.hpp>

namespace poster {

int scan_log(const ScanArguments&) {
    throw Error("not there yet");
}

} // namespace poster
