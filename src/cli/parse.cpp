#include "parse.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <error.hpp>
#include <table.hpp>
#include <text.hpp>

#include "completion.hpp"
#include "form.hpp"
#include "help.hpp"

namespace poster {

namespace {

Command parse_diff(const Words& words) {
    DiffArguments arguments;
    Form form("diff");
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 2);
    if (rest.size() != 2) throw UsageError("two runs are compared", "usage: " + usage_of(form.command()));
    arguments.before = rest[0];
    arguments.after = rest[1];
    return arguments;
}

Command parse_tag(const Words& words) {
    TagArguments arguments;
    Form form("tag");
    form.flag("--delete", arguments.remove);
    form.store(arguments.store);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    if (rest.size() < 2) throw UsageError("a run and its tags are wanted", "usage: " + usage_of(form.command()));
    arguments.run = rest.front();
    arguments.tags.assign(rest.begin() + 1, rest.end());
    return arguments;
}

Command parse_note(const Words& words) {
    NoteArguments arguments;
    Form form("note");
    form.store(arguments.store);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    if (rest.empty()) throw UsageError("which run?", "usage: " + usage_of(form.command()));
    arguments.run = rest.front();
    for (std::size_t i = 1; i < rest.size(); ++i) // quotes are easily forgotten
        arguments.text = arguments.text ? *arguments.text + " " + rest[i] : rest[i];
    return arguments;
}

Command parse_rm(const Words& words) {
    RemoveArguments arguments;
    Form form("rm");
    form.flag("--yes", arguments.yes);
    form.store(arguments.store);
    arguments.runs = form.read(words);
    if (form.wants_help()) return form.help();
    if (arguments.runs.empty()) throw UsageError("no run to remove", "usage: " + usage_of(form.command()));
    return arguments;
}

Command parse_sync(const Words& words) {
    SyncArguments arguments;
    Form form("sync");
    form.list("--callback", arguments.callbacks);
    form.flag("--watch", arguments.watch);
    form.flag("--dry-run", arguments.dry_run);
    form.flag("--retry-failed", arguments.retry_failed);
    form.value("--jobs", [&](const std::string& word) { arguments.jobs = check_number("--jobs", word, 1); });
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    arguments.runs = form.read(words);
    if (form.wants_help()) return form.help();
    return arguments;
}

Command parse_gc(const Words& words) {
    CollectArguments arguments;
    Form form("gc");
    form.duration("--older", arguments.older);
    form.flag("--delivered", arguments.delivered);
    form.value("--larger", [&](const std::string& word) { arguments.larger = check_size("--larger", word); });
    form.flag("--remote", arguments.remote);
    form.text("--from", arguments.from);
    form.flag("--yes", arguments.yes);
    form.flag("--dry-run", arguments.dry_run);
    form.store(arguments.store);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 0);
    if (!arguments.delivered && arguments.larger > 0)
        throw UsageError("--larger goes with --delivered", "usage: " + usage_of(form.command()));
    if (!arguments.delivered && !arguments.remote && (arguments.yes || !arguments.from.empty()))
        throw UsageError("--yes and --from go with --delivered or --remote", "usage: " + usage_of(form.command()));
    if (arguments.yes && arguments.dry_run)
        throw UsageError("--yes deletes, --dry-run does not", "usage: " + usage_of(form.command()));
    return arguments;
}

Command parse_fetch(const Words& words) {
    FetchArguments arguments;
    Form form("fetch");
    form.flag("--all", arguments.all);
    form.text("--from", arguments.from);
    form.value("--jobs", [&](const std::string& word) { arguments.jobs = check_number("--jobs", word, 1); });
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    arguments.words = form.read(words);
    if (form.wants_help()) return form.help();
    if (arguments.words.empty() && !arguments.all)
        throw UsageError("which run? --all means all that are not here", "usage: " + usage_of(form.command()));
    return arguments;
}

Command parse_wait(const Words& words) {
    WaitArguments arguments;
    Form form("wait");
    form.text("--group", arguments.group);
    form.duration("--timeout", arguments.timeout);
    form.flag("--quiet", arguments.quiet);
    form.store(arguments.store);
    arguments.runs = form.read(words);
    if (form.wants_help()) return form.help();
    if (arguments.runs.empty() && arguments.group.empty())
        throw UsageError("no run to wait for", "usage: " + usage_of(form.command()));
    return arguments;
}

Command parse_top(const Words& words) {
    TopArguments arguments;
    Form form("top");
    form.duration("--interval", arguments.interval);
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 0);
    return arguments;
}

Command parse_ls(const Words& words) {
    ListArguments arguments;
    Form form("ls");
    form.value("--status", [&](const std::string& word) { arguments.statuses.push_back(check_status(word)); });
    form.list("--tag", arguments.tags);
    form.text("--name", arguments.name);
    form.text("--group", arguments.group);
    form.value("--where", [&](const std::string& word) {
        arguments.where = arguments.where.empty() ? word : fmt::format("({}) and ({})", arguments.where, word);
    });
    form.text("--sort", arguments.sort);
    form.text("--columns", arguments.columns);
    form.flag("--all-stores", arguments.all_stores);
    form.text("--since", arguments.since);
    form.value("--limit", [&](const std::string& word) { arguments.limit = check_number("--limit", word, 0); });
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 0);
    return arguments;
}

Command parse_show(const Words& words) {
    ShowArguments arguments;
    Form form("show");
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 1);
    if (!rest.empty()) arguments.run = rest.front();
    return arguments;
}

Command parse_logs(const Words& words) {
    LogsArguments arguments;
    Form form("logs");
    form.flag("--follow", arguments.follow);
    form.value("--attempt",
               [&](const std::string& word) { arguments.attempt = int(check_number("--attempt", word, 1)); });
    form.flag("--stdout", arguments.only_stdout);
    form.flag("--stderr", arguments.only_stderr);
    form.flag("--timestamps", arguments.timestamps);
    form.flag("--raw", arguments.raw);
    form.store(arguments.store);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 1);
    if (!rest.empty()) arguments.run = rest.front();
    if (arguments.only_stdout && arguments.only_stderr)
        throw UsageError("--stdout and --stderr exclude each other", "without either, both are printed");
    if (arguments.raw && arguments.timestamps)
        throw UsageError("--raw and --timestamps exclude each other", "--raw prints the very bytes, and nothing else");
    return arguments;
}

Command parse_stop(const Words& words) {
    StopArguments arguments;
    Form form("stop");
    form.flag("--kill", arguments.kill);
    form.store(arguments.store);
    arguments.runs = form.read(words);
    if (form.wants_help()) return form.help();
    if (arguments.runs.empty())
        throw UsageError("no run to stop",
                         "usage: " + usage_of(form.command()) + "; `poster stop last` stops the last one");
    return arguments;
}

Command parse_plain(const std::string& name, int (*execute)(const PlainArguments&), const Words& words) {
    PlainCommand plain{execute, {}};
    Form form(name);
    if (find_option(form.command(), "--store") != nullptr) form.store(plain.arguments.store);
    if (find_option(form.command(), "--json") != nullptr) form.flag("--json", plain.arguments.json);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 0);
    return plain;
}

UsageError unknown_command(const std::string& word) {
    if (is_option(word))
        return UsageError(fmt::format("unknown option '{}'", printable(word)),
                          "options of a command come after it: poster run --name x …");
    Words known{"list", "status"};
    for (const auto& command : command_table()) known.emplace_back(command.name);
    std::string near = closest(word, known);
    if (near == "list" || near == "status") near = "ls";
    std::string help =
        near.empty() ? fmt::format("to run it: poster run {} …; poster --help lists the commands", printable(word))
                     : fmt::format("did you mean '{}'?", near);
    return UsageError(fmt::format("unknown command '{}'", printable(word)), help);
}

Command parse_completion(const Words& words) {
    Form form("completion");
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 1);
    if (rest.empty()) throw UsageError("for which shell?", "usage: " + usage_of(form.command()));
    return TextCommand{completion_script(rest.front())};
}

// What the completion scripts ask: `complete -- WORD…`. No user types it, and nothing it may find is an error.
Command parse_complete(const Words& words) {
    Words front = words;
    Words typed = split_off_extra(front);
    return TextCommand{printed(complete(typed, suggestions))};
}

// What runs start for their outboxes: `deliver STORE RUN...`. No user types it.
Command parse_deliver(const Words& words) {
    if (words.size() < 2) throw UsageError("deliver wants a store and runs", "`poster sync` is what you need");
    SyncArguments arguments;
    arguments.store = words[0];
    arguments.runs.assign(words.begin() + 1, words.end());
    arguments.background = true;
    return arguments;
}

// `--man` is for the installation.
Command parse_help(const Words& words) {
    if (words.empty()) return TextCommand{top_help()};
    if (words.front() == "--man") return TextCommand{man_page()};
    const CommandText* command = find_command(words.front());
    if (words.front() == "-h" || words.front() == "--help") command = find_command("help");
    if (command == nullptr) throw unknown_command(words.front());
    return TextCommand{help_of(*command)};
}

struct Parser {
    std::string_view name;
    Command (*parse)(const Words& words);
};

constexpr Parser kParsers[] = {
    {"run", parse_run},
    {"rerun", [](const Words& words) { return parse_rerun(words); }},
    {"continue", [](const Words& words) { return parse_continue(words); }},
    {"diff", parse_diff},
    {"tag", parse_tag},
    {"note", parse_note},
    {"rm", parse_rm},
    {"gc", parse_gc},
    {"wait", parse_wait},
    {"doctor", [](const Words& words) { return parse_plain("doctor", examine, words); }},
    {"top", parse_top},
    {"ls", parse_ls},
    {"show", parse_show},
    {"logs", parse_logs},
    {"metrics", parse_metrics},
    {"plot", parse_plot},
    {"files", parse_files},
    {"export", parse_export},
    {"scan", parse_scan},
    {"log", parse_log},
    {"notify", parse_notify},
    {"client", parse_client},
    {"stop", parse_stop},
    {"sync", parse_sync},
    {"fetch", parse_fetch},
    {"deliver", parse_deliver},
    {"callbacks", [](const Words& words) { return parse_plain("callbacks", show_callbacks, words); }},
    {"config", [](const Words& words) { return parse_plain("config", show_config, words); }},
    {"reindex", [](const Words& words) { return parse_plain("reindex", reindex, words); }},
    {"completion", parse_completion},
    {"complete", parse_complete},
    {"version", [](const Words& words) { return parse_plain("version", show_version, words); }},
    {"help", parse_help},
};

} // namespace

Command parse(const Words& words) {
    if (words.empty())
        throw UsageError("no command given",
                         "poster run COMMAND … runs a command; poster --help lists what else there is");
    const std::string& name = words.front();
    Words rest(words.begin() + 1, words.end());
    auto found =
        std::find_if(std::begin(kParsers), std::end(kParsers), [&](const Parser& it) { return it.name == name; });
    if (found != std::end(kParsers)) return found->parse(rest);
    if (name == "-h" || name == "--help") return parse_help({});
    if (name == "-V" || name == "--version") return PlainCommand{show_version, {}};
    throw unknown_command(name);
}

namespace {

struct Execute {
    int operator()(const RunArguments& arguments) const { return run_command(arguments); }
    int operator()(const RerunArguments& arguments) const { return rerun(arguments); }
    int operator()(const ContinueArguments& arguments) const { return continue_runs(arguments); }
    int operator()(const DiffArguments& arguments) const { return show_differences(arguments); }
    int operator()(const TagArguments& arguments) const { return tag_runs(arguments); }
    int operator()(const NoteArguments& arguments) const { return note_run(arguments); }
    int operator()(const RemoveArguments& arguments) const { return remove_runs(arguments); }
    int operator()(const CollectArguments& arguments) const { return collect_garbage(arguments); }
    int operator()(const WaitArguments& arguments) const { return wait_for_runs(arguments); }
    int operator()(const TopArguments& arguments) const { return show_top(arguments); }
    int operator()(const ListArguments& arguments) const { return list_runs(arguments); }
    int operator()(const ShowArguments& arguments) const { return show_run(arguments); }
    int operator()(const LogsArguments& arguments) const { return show_logs(arguments); }
    int operator()(const MetricsArguments& arguments) const { return show_metrics(arguments); }
    int operator()(const PlotArguments& arguments) const { return plot_metrics(arguments); }
    int operator()(const FilesArguments& arguments) const { return list_files(arguments); }
    int operator()(const ExportArguments& arguments) const { return export_runs(arguments); }
    int operator()(const ScanArguments& arguments) const { return scan_log(arguments); }
    int operator()(const LogArguments& arguments) const { return log_event(arguments); }
    int operator()(const NotifyArguments& arguments) const { return notify(arguments); }
    int operator()(const ClientArguments& arguments) const { return write_client(arguments); }
    int operator()(const StopArguments& arguments) const { return stop_runs(arguments); }
    int operator()(const SyncArguments& arguments) const { return sync_runs(arguments); }
    int operator()(const FetchArguments& arguments) const { return fetch_runs(arguments); }
    int operator()(const PlainCommand& command) const { return command.execute(command.arguments); }
    int operator()(const TextCommand& command) const {
        print_out(command.text);
        return 0;
    }
};

} // namespace

int execute(const Command& command) {
    return std::visit(Execute{}, command);
}

} // namespace poster
