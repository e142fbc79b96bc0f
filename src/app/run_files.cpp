#include "commands.hpp"

#include <error.hpp>

namespace poster {

int list_files(const FilesArguments&) {
    throw Error("not there yet");
}

} // namespace poster
