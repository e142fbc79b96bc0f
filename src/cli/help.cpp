#include "help.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <error.hpp>
#include <text.hpp>

namespace poster {

namespace {

constexpr std::size_t kWidth = 100;
constexpr std::string_view kTagline =
    "Put it in front of a command, and the command is an experiment: recorded, and always ended.";

// Breaks text into lines of at most kWidth columns, each indented.
std::string wrapped(std::string_view text, std::size_t indent) {
    std::string out, line;
    for (const auto& word : split(text, ' ')) {
        if (!line.empty() && indent + display_width(line) + 1 + display_width(word) > kWidth) {
            out += std::string(indent, ' ') + line + "\n";
            line.clear();
        }
        line += (line.empty() ? "" : " ") + word;
    }
    return out + std::string(indent, ' ') + line + "\n";
}

std::string option_label(const OptionText& option) {
    std::string label = short_flag(option).empty() ? "    " : std::string(short_flag(option)) + ", ";
    label += long_flag(option);
    if (!option.value.empty()) label += " " + std::string(option.value);
    return label;
}

std::string options_help(const CommandText& command) {
    std::size_t width = 0;
    for (const auto& option : command.options) width = std::max(width, display_width(option_label(option)));
    std::string out;
    for (const auto& option : command.options) {
        std::string text = wrapped(option.help, width + 4);
        std::string label = option_label(option);
        out += "  " + label + std::string(width - display_width(label) + 2, ' ') + text.substr(width + 4);
    }
    return out;
}

// --- man page ---

std::string roff(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else if (c == '\'')
            out += "\\(aq";
        else if (c == '~')
            out += "\\(ti";
        else if (c == '^')
            out += "\\(ha";
        else
            out += c;
    }
    return out;
}

std::string man_options(const CommandText& command) {
    std::string out;
    for (const auto& option : command.options) {
        auto brief = short_flag(option);
        std::string flags = brief.empty() ? "" : fmt::format("\\fB{}\\fR, ", roff(brief));
        flags += fmt::format("\\fB{}\\fR", roff(long_flag(option)));
        if (!option.value.empty()) flags += fmt::format(" \\fI{}\\fR", roff(option.value));
        out += fmt::format(".TP\n{}\n{}\n", flags, roff(option.help));
    }
    return out;
}

} // namespace

std::string usage_of(const CommandText& command) {
    return fmt::format("poster {} {}", command.name, command.arguments);
}

std::string help_of(const CommandText& command) {
    std::string out = fmt::format("Usage: {}\n\n{}\nOptions:\n{}", usage_of(command), wrapped(command.description, 0),
                                  options_help(command));
    out += "\nExamples:\n";
    for (const auto& example : command.examples) out += fmt::format("  {}\n      {}\n", example.command, example.help);
    return out;
}

std::string top_help() {
    std::string out = fmt::format("Usage: poster COMMAND …\n\n{}\n\nCommands:\n", kTagline);
    for (const auto& command : command_table()) out += fmt::format("  {:<11} {}\n", command.name, command.summary);
    out += "\nOptions:\n  -h, --help     show this help\n  -V, --version  print the version\n\nExamples:\n";
    for (const char* name : {"run", "ls", "show", "logs"}) {
        const auto& example = find_command(name)->examples.front();
        out += fmt::format("  {:<38} {}\n", example.command, example.help);
    }
    return out + "\n`poster help COMMAND` tells more.\n";
}

std::string man_page() {
    std::string out = fmt::format(".TH POSTER 1 \"\" \"poster {}\" \"User Commands\"\n.SH NAME\n"
                                  "poster \\- run commands as experiments\n.SH SYNOPSIS\n",
                                  POSTER_VERSION);
    for (const auto& command : command_table())
        out += fmt::format(".B poster {}\n{}\n.br\n", command.name, roff(command.arguments));
    out += fmt::format(".SH DESCRIPTION\n{}\n.SH COMMANDS\n", roff(kTagline));
    for (const auto& command : command_table()) {
        out +=
            fmt::format(".SS poster {}\n{}\n{}", roff(command.name), roff(command.description), man_options(command));
        for (const auto& example : command.examples)
            out += fmt::format(".PP\n{}:\n.RS\n.nf\n{}\n.fi\n.RE\n", roff(example.help), roff(example.command));
    }
    out +=
        ".SH EXIT STATUS\n.B poster run\nexits as the command does: with its exit status, or by the same signal. "
        "127: the command was not found; 126: it could not be executed; 125: poster itself failed before the command "
        "started.\nOther commands exit with 0, or 1 where they failed. 2: the command line or a setting was wrong.\n";
    out +=
        ".SH FILES\n.TP\n.B .poster/\nthe store: one directory per run\n.TP\n.B poster.toml\nsettings of the project\n"
        ".TP\n.B \\(ti/.config/poster/config.toml\nsettings of the user\n";
    return out;
}

} // namespace poster
