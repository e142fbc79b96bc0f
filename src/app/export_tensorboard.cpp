#include "export_tensorboard.hpp"

#include <error.hpp>

namespace poster {

void export_tensorboard(const std::vector<RunRow>&, const std::vector<std::string>&, const std::filesystem::path&) {
    throw Error("not there yet");
}

} // namespace poster
