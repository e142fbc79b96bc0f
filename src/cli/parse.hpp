#pragma once
// The command line: words in, one command with its arguments out.

#include <string>
#include <variant>
#include <vector>

#include <commands.hpp>

namespace poster {

struct PlainCommand {
    int (*execute)(const PlainArguments&) = nullptr;
    PlainArguments arguments;
};
// Help, and what is made of it.
struct TextCommand {
    std::string text;
};
using Command = std::variant<RunArguments, RerunArguments, ContinueArguments, DiffArguments, TagArguments,
                             NoteArguments, RemoveArguments, CollectArguments, WaitArguments, TopArguments,
                             ListArguments, ShowArguments, LogsArguments, MetricsArguments, PlotArguments,
                             FilesArguments, ExportArguments, ScanArguments, LogArguments, NotifyArguments,
                             ClientArguments, StopArguments, SyncArguments, FetchArguments, PlainCommand, TextCommand>;

// `words` without the program's name. Throws UsageError; touches nothing.
Command parse(const std::vector<std::string>& words);
int execute(const Command& command);

} // namespace poster
