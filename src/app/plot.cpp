#include "commands.hpp"

#include <error.hpp>

namespace poster {

int plot_metrics(const PlotArguments&) {
    throw Error("not there yet");
}

} // namespace poster
