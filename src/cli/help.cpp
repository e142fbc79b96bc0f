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

// --- completions ---

std::string words_of(const CommandText& command) {
    std::string words;
    for (const auto& option : command.options) {
        if (!short_flag(option).empty()) words += fmt::format("{} ", short_flag(option));
        words += fmt::format("{} ", long_flag(option));
    }
    words.pop_back();
    return words;
}

std::string names() {
    std::string words;
    for (const auto& command : command_table()) words += fmt::format("{}{}", words.empty() ? "" : " ", command.name);
    return words;
}

std::string bash_completion() {
    std::string cases, values;
    for (const auto& command : command_table()) {
        cases += fmt::format("        {}) options=\"{}\" ;;\n", command.name, words_of(command));
        for (const auto& option : command.options)
            if (!option.value.empty() && command.name == "run")
                values += fmt::format("{}{}{}{}", values.empty() ? "" : "|", short_flag(option),
                                      short_flag(option).empty() ? "" : "|", long_flag(option));
    }
    return fmt::format(R"sh(# bash completion for poster
_poster() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} options="" i
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "{} --help --version" -- "$current"))
        return
    fi
    case $command in
{}    esac
    if [[ $command == run ]]; then
        for ((i = 2; i < COMP_CWORD; i++)); do
            case ${{COMP_WORDS[i]}} in
                {}) ((i++)) ;;
                --) ((i++)); break ;;
                -*) ;;
                *) break ;;
            esac
        done
        if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then
            _command_offset "$i"
            return
        fi
    fi
    if [[ $command == help ]]; then
        COMPREPLY=($(compgen -W "{}" -- "$current"))
    elif [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$current"))
    elif [[ $command == run ]]; then
        COMPREPLY=($(compgen -c -f -- "$current"))
    elif [[ $command == show || $command == logs || $command == stop ]]; then
        COMPREPLY=($(compgen -W "last $(poster ls --limit 20 2>/dev/null | awk 'NR > 1 {{ print $2 }}')" -- "$current"))
    fi
}}
complete -o default -F _poster poster
)sh",
                       names(), cases, values, names());
}

// A description within zsh's and fish's single quotes; zsh also reads brackets and colons.
std::string quoted_description(std::string_view text, bool zsh) {
    std::string out;
    for (char c : text) {
        if (c == '\'')
            out += zsh ? "'\\''" : "\\'";
        else if (zsh && (c == '[' || c == ']' || c == ':'))
            out += {'\\', c};
        else
            out += c;
    }
    return out;
}

std::string zsh_completion() {
    std::string commands, cases;
    for (const auto& command : command_table()) {
        commands += fmt::format("        '{}:{}'\n", command.name, quoted_description(command.summary, true));
        cases += fmt::format("        {})\n            _arguments -s", command.name);
        for (const auto& option : command.options) {
            std::string tail = fmt::format("[{}]{}'", quoted_description(option.help, true),
                                           option.value.empty() ? "" : fmt::format(":{}: ", option.value));
            if (!short_flag(option).empty())
                cases += fmt::format(" \\\n                '*{}{}", short_flag(option), tail);
            cases += fmt::format(" \\\n                '*{}{}", long_flag(option), tail);
        }
        cases += command.name == "run" ? " \\\n                '*::command:_normal'\n            ;;\n"
                                       : "\n            ;;\n";
    }
    return fmt::format(R"sh(#compdef poster
_poster() {{
    local -a commands
    commands=(
{}    )
    if (( CURRENT == 2 )); then
        _describe 'command' commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{}    esac
}}
_poster "$@"
)sh",
                       commands, cases);
}

std::string fish_completion() {
    std::string out = "# fish completion for poster\ncomplete -c poster -f\n";
    for (const auto& command : command_table()) {
        out += fmt::format("complete -c poster -n __fish_use_subcommand -a {} -d '{}'\n", command.name,
                           quoted_description(command.summary, false));
        for (const auto& option : command.options) {
            auto brief = short_flag(option);
            out +=
                fmt::format("complete -c poster -n '__fish_seen_subcommand_from {}'{} -l {}{} -d '{}'\n", command.name,
                            brief.empty() ? "" : fmt::format(" -s {}", brief.substr(1)), long_flag(option).substr(2),
                            option.value.empty() ? "" : " -r", quoted_description(option.help, false));
        }
    }
    return out + "complete -c poster -n '__fish_seen_subcommand_from run' -a '(__fish_complete_subcommand)'\n";
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

std::string completion(std::string_view shell) {
    if (shell == "bash") return bash_completion();
    if (shell == "zsh") return zsh_completion();
    if (shell == "fish") return fish_completion();
    throw UsageError(fmt::format("no completion for '{}'", shell), "there is one for bash, zsh and fish");
}

} // namespace poster
