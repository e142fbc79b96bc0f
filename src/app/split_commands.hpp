#pragma once
// Several commands on one command line: `a.py \ python b.py` reaches poster as the words "a.py", " python", "b.py".

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace poster {

using Words = std::vector<std::string>;

// A lone backslash separates; so does a word that begins with exactly one space and whose rest `is_program`.
// Throws UsageError for an empty command, showing where.
std::vector<Words> split_commands(const Words& words, const std::function<bool(const std::string&)>& is_program);

// One command a line, quoted as in a shell, with # comments; nothing is expanded. `name` is for messages.
// Throws UsageError naming the line.
std::vector<Words> parse_command_lines(const std::string& text, const std::string& name);

} // namespace poster
