#include "split_commands.hpp"

#include <optional>

#include <fmt/format.h>

#include <error.hpp>
#include <text.hpp>

#include "table.hpp"

namespace poster {

namespace {

constexpr std::size_t kShown = 60;

bool is_separator(const std::string& word, const std::function<bool(const std::string&)>& is_program) {
    if (word == "\\") return true;
    if (word.size() < 2 || word[0] != ' ' || word[1] == ' ') return false;
    return is_program(word.substr(1));
}

UsageError empty_command(const std::vector<Words>& before, bool more) {
    std::string where = before.empty() ? "at the beginning"
                        : more         ? fmt::format("after `{}`", shorten(shell_join(before.back()), kShown))
                               : fmt::format("at the end, after `{}`", shorten(shell_join(before.back()), kShown));
    return UsageError("an empty command " + printable(where),
                      "a backslash separates commands; --single takes the whole line as one command");
}

} // namespace

std::vector<Words> split_commands(const Words& words, const std::function<bool(const std::string&)>& is_program) {
    std::vector<Words> commands;
    Words command;
    const auto end_command = [&](bool more) {
        if (command.empty()) throw empty_command(commands, more);
        commands.push_back(std::move(command));
        command.clear();
    };
    for (const auto& word : words) {
        if (!is_separator(word, is_program)) {
            command.push_back(word);
            continue;
        }
        end_command(true);
        if (word != "\\") command.push_back(word.substr(1));
    }
    end_command(false);
    return commands;
}

std::vector<Words> parse_command_lines(const std::string& text, const std::string& name) {
    std::vector<Words> commands;
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        ++number;
        if (line.ends_with('\r')) line.pop_back();
        const std::optional<Words> command = shell_split(line);
        if (!command)
            throw UsageError(fmt::format("{}:{}: a quote or a backslash is left open", name, number),
                             "one command a line, quoted as in a shell");
        if (!command->empty()) commands.push_back(*command);
    }
    if (commands.empty()) throw UsageError(fmt::format("no command in {}", name), "one command a line");
    return commands;
}

} // namespace poster
