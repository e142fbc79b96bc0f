#pragma once
// Every command with its options, help and examples: the one source of the parser, the help, the man page and the shell
// completions.

#include <span>
#include <string_view>

namespace poster {

struct OptionText {
    std::string_view flags; // "-n,--name" or "--note"
    std::string_view value; // what its value is called; empty: it takes none
    std::string_view help;
};

struct ExampleText {
    std::string_view command, help;
};

struct CommandText {
    std::string_view name;
    std::string_view arguments; // as the usage line shows them
    std::string_view summary;
    std::string_view description;
    std::span<const OptionText> options;
    std::span<const ExampleText> examples;
};

std::span<const CommandText> command_table();
const CommandText* find_command(std::string_view name);
// By "--name", "-n" or "n".
const OptionText* find_option(const CommandText& command, std::string_view flag);
std::string_view long_flag(const OptionText& option);  // "--name"
std::string_view short_flag(const OptionText& option); // "-n"; empty: none

} // namespace poster
