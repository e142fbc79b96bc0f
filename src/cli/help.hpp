#pragma once
// The help, the man page and the shell completions, made from the command table.

#include <string>
#include <string_view>

#include "command_table.hpp"

namespace poster {

std::string top_help();
std::string help_of(const CommandText& command);
std::string usage_of(const CommandText& command); // one line
std::string man_page();
std::string completion(std::string_view shell); // bash, zsh or fish; throws UsageError

} // namespace poster
