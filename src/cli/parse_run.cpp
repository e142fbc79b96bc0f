// `run`, `rerun` and `continue`: poster's own words, and those of the command.

#include <algorithm>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <table.hpp>

#include "form.hpp"
#include "help.hpp"

namespace poster {

namespace {

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

void refuse_stray_arguments(const Form& form, const Words& rest, std::size_t most) {
    if (rest.size() > most)
        throw UsageError(
            fmt::format("poster {} does not know what to do with '{}'", form.command().name, printable(rest[most])),
            "what is for the command comes after `--`");
}

} // namespace

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
        form.flag("--no-capture", arguments.no_capture);
        form.flag("--scan-metrics", arguments.scan_metrics);
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

} // namespace poster
