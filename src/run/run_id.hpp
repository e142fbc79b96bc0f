#pragma once
// Run ids: 20261123-070213-k7qd, UTC start time and four random characters.

#include <string>
#include <string_view>

#include <poster/run.hpp>

namespace poster {

std::string new_run_id(WallTime now); // characters from a set without look-alikes
bool is_run_id(std::string_view text);

} // namespace poster
