#include "commands.hpp"

#include <error.hpp>

namespace poster {

int export_runs(const ExportArguments&) {
    throw Error("not there yet");
}

} // namespace poster
