#include "parse.hpp"

#include <algorithm>
#include <charconv>
#include <functional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <table.hpp>
#include <text.hpp>

#include "completion.hpp"
#include "help.hpp"

namespace poster {

namespace {

using Words = std::vector<std::string>;

bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-';
}

UsageError unknown_option(const CommandText& command, const std::string& word) {
    std::string flag = word.substr(0, word.find('='));
    Words known;
    for (const auto& option : command.options) known.emplace_back(long_flag(option));
    std::string near = flag.starts_with("--") ? closest(flag, known) : closest("-" + flag, known);
    std::string help = near.empty() ? fmt::format("poster {} --help lists its options", command.name)
                                    : fmt::format("did you mean '{}'?", near);
    return UsageError(fmt::format("unknown option '{}' of poster {}", printable(flag), command.name), help);
}

UsageError missing_value(const CommandText& command, std::string_view flag) {
    const OptionText* option = find_option(command, flag);
    if (option == nullptr) return UsageError(fmt::format("an option of poster {} lacks its value", command.name));
    return UsageError(fmt::format("{} lacks its value", flag),
                      fmt::format("{} {}: {}", long_flag(*option), option->value, option->help));
}

// The parser of one command. Flags and help are the table's; here each is bound to the field that takes it.
class Form {
public:
    explicit Form(std::string_view command) : command_(*find_command(command)) {
        app_.set_help_flag();
        app_.allow_extras();
        flag("--help", help_);
    }

    void flag(std::string_view name, bool& field) {
        app_.add_flag_function(flags_of(name), [&field](std::int64_t count) { field = count > 0; });
    }
    // Called with each value that is given.
    void value(std::string_view name, std::function<void(const std::string&)> take) {
        auto take_all = [take = std::move(take)](const CLI::results_t& results) {
            for (const auto& result : results) take(result);
            return true;
        };
        // Exactly one word each time: CLI11 would read "[a,b]" as a list otherwise.
        app_.add_option(flags_of(name), CLI::callback_t(take_all))
            ->expected(1)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    void text(std::string_view name, std::string& field) {
        value(name, [&field](const std::string& word) { field = word; });
    }
    void text(std::string_view name, std::optional<std::string>& field) {
        value(name, [&field](const std::string& word) { field = word; });
    }
    void list(std::string_view name, Words& field) {
        value(name, [&field](const std::string& word) { field.push_back(word); });
    }
    void store(std::optional<std::string>& field) {
        value("--store", [&field](const std::string& word) {
            if (word.empty()) throw UsageError("--store wants a directory, not an empty word");
            field = word;
        });
    }

    // Returns the words that are no options.
    Words read(const Words& words) {
        Words reversed = with_values_apart(words);
        std::reverse(reversed.begin(), reversed.end()); // as CLI11 wants them
        try {
            app_.parse(std::move(reversed));
        } catch (const CLI::ArgumentMismatch& error) {
            std::string text = error.what();
            throw missing_value(command_, std::string_view(text).substr(0, text.find(':')));
        } catch (const CLI::ParseError& error) {
            throw UsageError(error.what(), fmt::format("poster {} --help", command_.name));
        }
        Words rest = app_.remaining();
        if (help_) return {};
        for (const auto& word : rest)
            if (is_option(word)) throw unknown_option(command_, word);
        return rest;
    }

    bool wants_help() const { return help_; }
    TextCommand help() const { return {help_of(command_)}; }
    const CommandText& command() const { return command_; }

private:
    std::string flags_of(std::string_view name) const { return std::string(find_option(command_, name)->flags); }

    // "--note=" is an empty value; CLI11 would take the next word instead.
    Words with_values_apart(const Words& words) const {
        Words out;
        for (const auto& word : words) {
            auto equals = word.find('=');
            const OptionText* option = nullptr;
            if (word.starts_with("--") && equals + 1 == word.size())
                option = find_option(command_, word.substr(0, equals));
            if (option == nullptr || option->value.empty()) {
                out.push_back(word);
                continue;
            }
            out.push_back(word.substr(0, equals));
            out.emplace_back();
        }
        return out;
    }

    const CommandText& command_;
    CLI::App app_;
    bool help_ = false;
};

void refuse_words(const Form& form, const Words& words, std::size_t most) {
    if (words.size() > most)
        throw UsageError(
            fmt::format("poster {} does not know what to do with '{}'", form.command().name, printable(words[most])),
            "usage: " + usage_of(form.command()));
}

Milliseconds check_duration(std::string_view option, const std::string& word) {
    auto duration = parse_duration(word);
    if (!duration)
        throw UsageError(fmt::format("{} wants a duration, not '{}'", option, printable(word)),
                         "for example 90, 30s, 15m, 1h30m or 2d");
    return *duration;
}

std::size_t check_number(std::string_view option, const std::string& word, std::size_t least) {
    std::size_t number = 0;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc{} || end != word.data() + word.size() || number < least || number > 1'000'000'000)
        throw UsageError(fmt::format("{} wants a whole number from {} on, not '{}'", option, least, printable(word)));
    return number;
}

std::string check_status(const std::string& word) {
    if (status_from(word)) return word;
    Words known;
    for (Status status : {Status::queued, Status::running, Status::finished, Status::failed, Status::killed,
                          Status::timeout, Status::preempted, Status::lost})
        known.emplace_back(to_string(status));
    std::string near = closest(word, known), all;
    for (const auto& status : known) all += (all.empty() ? "" : ", ") + status;
    throw UsageError(fmt::format("unknown status '{}'", printable(word)),
                     near.empty() ? "it is one of " + all : fmt::format("did you mean '{}'?", near));
}

Words check_list(std::string_view option, const std::string& word) {
    Words items = split(word, ',');
    if (items.empty()) throw UsageError(fmt::format("{} wants a list such as 0,1", option));
    return items;
}

std::string check_assignment(const std::string& word) {
    auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError("--env wants NAME=VALUE", "for example --env OMP_NUM_THREADS=4");
    return word;
}

// Where the command begins: behind poster's own options, whose values are known from the table. `--` may end them.
std::size_t front_length(const CommandText& run, const Words& words) {
    std::size_t i = 0;
    while (i < words.size() && is_option(words[i]) && words[i] != "--") {
        const std::string& word = words[i++];
        if (word.starts_with("--")) {
            auto equals = word.find('=');
            const OptionText* option = find_option(run, word.substr(0, equals));
            if (option == nullptr) throw unknown_option(run, word);
            if (!option->value.empty() && equals == std::string::npos && i++ >= words.size())
                throw missing_value(run, word);
            continue;
        }
        for (std::size_t letter = 1; letter < word.size(); ++letter) { // -qn NAME, -nNAME
            const OptionText* option = find_option(run, std::string{'-', word[letter]});
            if (option == nullptr) throw unknown_option(run, word);
            if (option->value.empty()) continue;
            if (letter + 1 == word.size() && i++ >= words.size())
                throw missing_value(run, std::string{'-', word[letter]});
            break;
        }
    }
    return i;
}

Command parse_run(const Words& words) {
    RunArguments arguments;
    const CommandText& run = *find_command("run");
    std::size_t front = front_length(run, words);
    std::size_t begin = front < words.size() && words[front] == "--" ? front + 1 : front;
    arguments.command.assign(words.begin() + std::ptrdiff_t(begin), words.end());
    if (front > 0) { // a launch without options does not pay for their parser
        Form form("run");
        form.text("--name", arguments.name);
        form.list("--tag", arguments.tags);
        form.text("--note", arguments.note);
        form.value("--env", [&](const std::string& word) { arguments.environment.push_back(check_assignment(word)); });
        form.text("--cwd", arguments.cwd);
        form.store(arguments.store);
        form.value("--timeout", [&](const std::string& word) {
            bool none = check_duration("--timeout", word).count() == 0;
            arguments.timeout = none ? "" : word;
        });
        form.value("--grace", [&](const std::string& word) {
            check_duration("--grace", word);
            arguments.grace = word;
        });
        form.value("--jobs", [&](const std::string& word) { arguments.jobs = check_number("--jobs", word, 1); });
        form.flag("--fail-fast", arguments.fail_fast);
        form.flag("--single", arguments.single);
        form.text("--file", arguments.file);
        form.value("--gpus", [&](const std::string& word) { arguments.gpus = check_list("--gpus", word); });
        form.value("--retries",
                   [&](const std::string& word) { arguments.retries = check_number("--retries", word, 0); });
        form.value("--retry-on", [&](const std::string& word) {
            arguments.retry_on.emplace();
            for (const auto& status : check_list("--retry-on", word))
                arguments.retry_on->push_back(*status_from(check_status(status)));
        });
        form.value("--backoff", [&](const std::string& word) {
            check_duration("--backoff", word);
            arguments.backoff = word;
        });
        form.flag("--detach", arguments.detach);
        form.flag("--quiet", arguments.quiet);
        form.flag("--verbose", arguments.verbose);
        form.flag("--dry-run", arguments.dry_run);
        form.read({words.begin(), words.begin() + std::ptrdiff_t(front)});
        if (form.wants_help()) return form.help();
    }
    if (arguments.file && !arguments.command.empty())
        throw UsageError("--file and a command exclude each other", "the commands stand in the file");
    if (!arguments.file && (arguments.command.empty() || arguments.command.front().empty()))
        throw UsageError("no command to run",
                         fmt::format("usage: {}\nfor example: {}", usage_of(run), run.examples.front().command));
    return arguments;
}

// The words behind `--` are the command's.
Words split_off_extra(Words& words) {
    auto dashes = std::find(words.begin(), words.end(), "--");
    if (dashes == words.end()) return {};
    Words extra(dashes + 1, words.end());
    words.erase(dashes, words.end());
    return extra;
}

void refuse_stray_arguments(const Form& form, const Words& rest, std::size_t most) {
    if (rest.size() > most)
        throw UsageError(
            fmt::format("poster {} does not know what to do with '{}'", form.command().name, printable(rest[most])),
            "what is for the command comes after `--`");
}

Command parse_rerun(Words words) {
    RerunArguments arguments;
    arguments.extra = split_off_extra(words);
    Form form("rerun");
    form.flag("--edit", arguments.edit);
    form.flag("--checkout", arguments.checkout);
    form.flag("--verify", arguments.verify);
    form.flag("--detach", arguments.detach);
    form.flag("--quiet", arguments.quiet);
    form.store(arguments.store);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_stray_arguments(form, rest, 1);
    if (arguments.verify && arguments.detach)
        throw UsageError("--verify and --detach exclude each other", "the comparison is made when the run has ended");
    if (!rest.empty()) arguments.run = rest.front();
    return arguments;
}

Command parse_continue(Words words) {
    ContinueArguments arguments;
    arguments.extra = split_off_extra(words);
    Form form("continue");
    form.flag("--last-failed", arguments.last_failed);
    form.text("--group", arguments.group);
    form.flag("--force", arguments.force);
    form.value("--jobs", [&](const std::string& word) { arguments.jobs = check_number("--jobs", word, 1); });
    form.flag("--detach", arguments.detach);
    form.flag("--quiet", arguments.quiet);
    form.store(arguments.store);
    arguments.runs = form.read(words);
    if (form.wants_help()) return form.help();
    bool chosen = arguments.last_failed || !arguments.group.empty();
    if (chosen && (!arguments.runs.empty() || (arguments.last_failed && !arguments.group.empty())))
        throw UsageError("runs, --last-failed and --group exclude each other", "usage: " + usage_of(form.command()));
    if (!chosen && arguments.runs.empty()) arguments.runs = {"last"};
    return arguments;
}

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

Command parse_gc(const Words& words) {
    CollectArguments arguments;
    Form form("gc");
    form.value("--older", [&](const std::string& word) {
        check_duration("--older", word);
        arguments.older = word;
    });
    form.flag("--dry-run", arguments.dry_run);
    form.store(arguments.store);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 0);
    return arguments;
}

Command parse_wait(const Words& words) {
    WaitArguments arguments;
    Form form("wait");
    form.text("--group", arguments.group);
    form.value("--timeout", [&](const std::string& word) {
        check_duration("--timeout", word);
        arguments.timeout = word;
    });
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
    form.value("--interval", [&](const std::string& word) {
        check_duration("--interval", word);
        arguments.interval = word;
    });
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
    Words known{"list", "log", "status"};
    for (const auto& command : command_table()) known.emplace_back(command.name);
    std::string near = closest(word, known);
    if (near == "list" || near == "status") near = "ls";
    if (near == "log") near = "logs";
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
Command parse_complete(Words words) {
    Words typed = split_off_extra(words);
    return TextCommand{printed(complete(typed, suggestions))};
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

} // namespace

Command parse(const Words& words) {
    if (words.empty())
        throw UsageError("no command given",
                         "poster run COMMAND … runs a command; poster --help lists what else there is");
    const std::string& name = words.front();
    Words rest(words.begin() + 1, words.end());
    if (name == "run") return parse_run(rest);
    if (name == "rerun") return parse_rerun(rest);
    if (name == "continue") return parse_continue(rest);
    if (name == "diff") return parse_diff(rest);
    if (name == "tag") return parse_tag(rest);
    if (name == "note") return parse_note(rest);
    if (name == "rm") return parse_rm(rest);
    if (name == "gc") return parse_gc(rest);
    if (name == "wait") return parse_wait(rest);
    if (name == "doctor") return parse_plain(name, examine, rest);
    if (name == "top") return parse_top(rest);
    if (name == "ls") return parse_ls(rest);
    if (name == "show") return parse_show(rest);
    if (name == "logs") return parse_logs(rest);
    if (name == "stop") return parse_stop(rest);
    if (name == "callbacks") return parse_plain(name, show_callbacks, rest);
    if (name == "config") return parse_plain(name, show_config, rest);
    if (name == "reindex") return parse_plain(name, reindex, rest);
    if (name == "completion") return parse_completion(rest);
    if (name == "complete") return parse_complete(rest);
    if (name == "version") return parse_plain(name, show_version, rest);
    if (name == "help") return parse_help(rest);
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
    int operator()(const StopArguments& arguments) const { return stop_runs(arguments); }
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
