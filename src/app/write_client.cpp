#include "commands.hpp"

#include <error.hpp>

namespace poster {

int write_client(const ClientArguments&) {
    throw Error("not there yet");
}

} // namespace poster
