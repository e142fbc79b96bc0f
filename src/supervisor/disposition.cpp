#include "disposition.hpp"

#include <charconv>
#include <cstdint>
#include <string_view>

#include <files.hpp>

namespace poster {

bool has_default_action(pid_t pid, int signal) {
    const auto status = read_file("/proc/" + std::to_string(pid) + "/status");
    if (!status) return false;
    for (const std::string_view set : {"\nSigCgt:\t", "\nSigIgn:\t"}) {
        const auto at = status->find(set);
        if (at == std::string::npos) return false;
        std::uint64_t signals = 0;
        std::from_chars(status->data() + at + set.size(), status->data() + status->size(), signals, 16);
        if (((signals >> (static_cast<unsigned>(signal) - 1)) & 1U) != 0) return false;
    }
    return true;
}

} // namespace poster
