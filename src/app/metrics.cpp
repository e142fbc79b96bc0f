#include "commands.hpp"

#include <error.hpp>

namespace poster {

int show_metrics(const MetricsArguments&) {
    throw Error("not there yet");
}

} // namespace poster
