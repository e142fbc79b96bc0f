// `poster run`: from arguments to one or several specs, and from those to runs.

#include <fcntl.h>
#include <unistd.h>

#include <iostream>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <process.hpp>
#include <registry.hpp>
#include <run_id.hpp>
#include <secret_setting.hpp>
#include <subprocess.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "execute.hpp"
#include "launch.hpp"
#include "launcher.hpp"
#include "pass_through.hpp"
#include "split_commands.hpp"
#include "table.hpp"

namespace poster {

namespace {

std::pair<std::string, std::string> parse_assignment(const std::string& word) {
    auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError(fmt::format("--env wants NAME=VALUE, not '{}'", word));
    return {word.substr(0, equals), word.substr(equals + 1)};
}

Milliseconds parse_duration_option(const std::string& option, const std::string& word) {
    auto duration = parse_duration(word);
    if (!duration)
        throw UsageError(fmt::format("{} wants a duration such as 90, 30s, 15m or 1h30m, not '{}'", option, word));
    return *duration;
}

fs::path working_directory(const RunArguments& arguments, const fs::path& cwd) {
    std::error_code gone;
    if (!arguments.cwd) return fs::is_directory(cwd, gone) ? cwd : fs::path{}; // deleted: the child stays in it, too
    fs::path wanted = (cwd / *arguments.cwd).lexically_normal();
    std::error_code failure;
    if (!fs::is_directory(wanted, failure))
        throw Error(fmt::format("cannot run in '{}': it is not a directory", *arguments.cwd));
    return wanted;
}

RunSpec make_spec(const RunArguments& arguments, const Workspace& workspace) {
    RunSpec spec;
    spec.argv = arguments.command;
    spec.cwd = working_directory(arguments, workspace.cwd);
    for (const auto& word : arguments.environment) spec.environment.push_back(parse_assignment(word));
    spec.name = arguments.name;
    spec.tags = arguments.tags;
    spec.note = arguments.note;
    spec.scan_metrics = arguments.scan_metrics;
    const auto& settings = workspace.settings;
    std::string timeout = arguments.timeout.value_or(settings.text("run.timeout"));
    if (!timeout.empty()) spec.timeout = parse_duration_option("--timeout", timeout);
    spec.grace = arguments.grace ? parse_duration_option("--grace", *arguments.grace) : settings.duration("run.grace");
    return spec;
}

// ---- several commands

std::string read_commands(const std::string& file) {
    if (file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
    auto text = read_file(file);
    if (!text) throw UsageError(fmt::format("cannot read the commands in '{}'", printable(file)));
    return *text;
}

std::vector<Words> commands_of(const RunArguments& arguments, const fs::path& cwd) {
    if (arguments.file) return parse_command_lines(read_commands(*arguments.file), printable(*arguments.file));
    if (arguments.single) return {arguments.command};
    return split_commands(arguments.command,
                          [&](const std::string& word) { return find_program(word, cwd).has_value(); });
}

// With one name for all of them none could be called by it.
std::string numbered(const std::string& name, std::size_t number, std::size_t count) {
    if (name.empty() || count == 1) return name;
    return fmt::format("{}-{:0{}}", name, number, fmt::formatted_size("{}", count));
}

std::vector<AttemptPlan> plans_of(const RunSpec& spec, const std::vector<Words>& commands, const std::string& group) {
    std::vector<AttemptPlan> plans;
    for (const auto& words : commands) {
        AttemptPlan plan;
        plan.spec = spec;
        plan.spec.argv = words;
        plan.spec.name = numbered(spec.name, plans.size() + 1, commands.size());
        plan.spec.group = group;
        plans.push_back(std::move(plan));
    }
    return plans;
}

LaunchOptions options_of(const RunArguments& arguments, std::size_t commands) {
    LaunchOptions options;
    // Who shares devices out wants them used at the same time.
    std::size_t jobs = arguments.jobs.value_or(arguments.gpus.empty() ? 1 : arguments.gpus.size());
    if (arguments.jobs && arguments.gpus.size() > 1 && commands > 1 && jobs > arguments.gpus.size())
        throw UsageError(
            fmt::format("--jobs {} wants {} GPUs, and --gpus names {}", jobs, jobs, arguments.gpus.size()));
    options.jobs = int(std::min(jobs, std::max<std::size_t>(commands, 1)));
    options.gpus = arguments.gpus;
    options.fail_fast = arguments.fail_fast;
    options.quiet = arguments.quiet;
    options.verbose = arguments.verbose;
    options.retries.most = int(arguments.retries);
    if (arguments.retry_on) options.retries.on = *arguments.retry_on;
    if (arguments.backoff) options.retries.backoff = parse_duration_option("--backoff", *arguments.backoff);
    return options;
}

// ---- --dry-run

std::string describe_spec(const RunSpec& spec, const Redactor& redactor) {
    std::string text = fmt::format("command:\n  {}\nworking directory:\n  {}\nenvironment changes:\n",
                                   shell_join(redactor.arguments(spec.argv)), spec.cwd.string());
    for (const auto& [name, value] : spec.environment)
        text += fmt::format("  {}={}\n", name, shell_quote(redactor.value(name, value)));
    return text + "  POSTER_RUN_ID, POSTER_RUN_DIR, POSTER_ATTEMPT … as docs/environment.md says\n";
}

int dry_run(std::vector<AttemptPlan> plans, const Settings& settings, const fs::path& store) {
    std::string callbacks, text;
    for (const auto* entry : registry()) {
        Activation activation = activation_of(*entry, settings);
        if (!activation.on) continue;
        if (entry->hooks.prepare)
            for (auto& plan : plans) entry->create(settings)->on_prepare(plan.spec);
        callbacks += fmt::format("  {:<16} {}\n", entry->name, activation.reason);
    }
    for (const auto& plan : plans) text += describe_spec(plan.spec, redactor_of(settings));
    text += fmt::format("store:\n  {}\ncallbacks that are on:\n{}", store.string(), callbacks);
    return write_all(STDOUT_FILENO, text) ? 0 : 1;
}

} // namespace

int run_command(const RunArguments& arguments) {
    Workspace workspace = open_workspace(arguments.store);
    if (!arguments.quiet)
        for (const auto& warning : plain_secrets(workspace.settings)) say("warning: " + warning);
    if (arguments.no_capture) workspace.settings.set("capture.python", "false", "--no-capture");
    RunSpec spec = make_spec(arguments, workspace);
    auto commands = commands_of(arguments, spec.cwd.empty() ? workspace.cwd : spec.cwd);
    if (arguments.dry_run)
        return dry_run(plans_of(spec, commands, ""), settings_of(workspace, spec), workspace.store.dir());
    if (commands.size() == 1) {
        spec.argv = commands.front();
        if (runs_nothing(spec)) pass_through(spec);
    }
    LaunchOptions options = options_of(arguments, commands.size());
    if (commands.size() > 1 && !arguments.quiet)
        say(fmt::format("{} commands{}", commands.size(),
                        arguments.file ? "" : "; --single would take the line as one"));
    std::string group = commands.size() > 1 ? new_run_id(wall_now()) : "";
    execute_plans(workspace, plans_of(spec, commands, group), options, arguments.detach);
}

} // namespace poster
