#pragma once
// The help and the man page, made from the command table.

#include <string>

#include "command_table.hpp"

namespace poster {

std::string top_help();
std::string help_of(const CommandText& command);
std::string usage_of(const CommandText& command); // one line
std::string man_page();

} // namespace poster
