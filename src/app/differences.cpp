#include "differences.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include <argv_config.hpp>
#include <code_state.hpp>
#include <files.hpp>
#include <machine.hpp>
#include <metric_totals.hpp>
#include <process.hpp>
#include <python_state.hpp>
#include <records.hpp>
#include <text.hpp>

#include "config_page.hpp"
#include "reading.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kShortCommit = 12;
constexpr std::size_t kMostPerKind = 12; // of the variables, the packages …

std::string words_of(const json& value) {
    if (value.is_null()) return {};
    if (value.is_string()) return value.get<std::string>();
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Variables that differ from shell to shell and say nothing about the experiment.
bool is_noise(const std::string& name) {
    static const std::set<std::string> kNoise{"_",         "OLDPWD",        "PWD",        "SHLVL",     "WINDOWID",
                                              "LINES",     "COLUMNS",       "SSH_CLIENT", "SSH_TTY",   "SSH_CONNECTION",
                                              "TERM",      "SSH_AUTH_SOCK", "TMUX",       "TMUX_PANE", "XDG_SESSION_ID",
                                              "COLORTERM", "DISPLAY",       "STY",        "PS1",       "LS_COLORS"};
    return kNoise.contains(name) || name.starts_with("POSTER_");
}

class Comparison {
public:
    void value(const std::string& what, const std::string& before, const std::string& after) {
        if (before != after) found_.push_back({what, before, after});
    }

    // One line per key that differs, and one for the rest where there are many.
    void values(const std::string& kind, const Values& before, const Values& after) {
        std::vector<Difference> all = compare(kind, before, after);
        std::size_t more = all.size() > kMostPerKind ? all.size() - kMostPerKind : 0;
        found_.insert(found_.end(), all.begin(), all.end() - std::ptrdiff_t(more));
        if (more > 0) found_.push_back({fmt::format("{} more of kind {}", more, kind), "", ""});
    }

    std::vector<Difference> take() { return std::move(found_); }

private:
    std::vector<Difference> found_;
};

Values arguments_of(const json& run) {
    std::vector<std::string> argv;
    for (const auto& word : member(run, "argv"))
        if (word.is_string()) argv.push_back(word.get<std::string>());
    Values values;
    if (argv.empty()) return values;
    json config = config_from_argv(argv);
    for (const auto& [key, value] : member(config, "values").items()) values[key] = words_of(value);
    std::size_t place = 0;
    for (const auto& word : member(config, "positionals")) values[fmt::format("#{}", ++place)] = words_of(word);
    values["program"] = argv.front();
    return values;
}

// A configuration that says more than the command line: what was read from the program itself.
Values config_of(const json& run) {
    Values values;
    const json& config = member(run, "config");
    if (words_of(member(config, "rung")) == "argv" || words_of(member(config, "source")) == "argv-guess") return values;
    for (const auto& [name, value] : flat_values(member(config, "values"))) values[name] = value;
    return values;
}

// Parameters, where both runs told theirs, and of the command line only what is no parameter.
void compare_parameters(Comparison& comparison, const json& before, const json& after) {
    Values arguments[2] = {arguments_of(before), arguments_of(after)};
    const Values configs[2] = {config_of(before), config_of(after)};
    const bool both = !configs[0].empty() && !configs[1].empty();
    for (auto& side : arguments)
        std::erase_if(side, [&](const auto& argument) {
            std::string name = argument.first;
            std::replace(name.begin(), name.end(), '-', '_');
            return both && (configs[0].contains(name) || configs[1].contains(name));
        });
    comparison.values("argument", arguments[0], arguments[1]);
    if (both) comparison.values("config", configs[0], configs[1]);
}

Values environment_of(const json& run) {
    Values values;
    for (const auto& [name, value] : member(run, "environment").items())
        if (!is_noise(name)) values[name] = words_of(value);
    return values;
}

Values packages_of(const RunView& view) {
    Values values;
    for (const auto& line : view.packages) {
        auto equals = line.find("==");
        values[line.substr(0, equals)] = equals == std::string::npos ? "installed" : line.substr(equals + 2);
    }
    return values;
}

// Path to a hash of the content; of a link, where it leads.
Values untracked_of(const json& code) {
    Values values;
    for (const auto& file : member(code, "untracked")) {
        std::string hash = words_of(member(file, "sha256"));
        if (hash.empty()) hash = words_of(member(file, "link"));
        if (hash.empty()) hash = words_of(member(file, "bytes")) + " bytes";
        values[words_of(member(file, "path"))] = hash.substr(0, kShortCommit);
    }
    return values;
}

std::string gpus_of(const json& run) {
    std::string names;
    for (const auto& gpu : member(member(run, "hardware"), "gpus"))
        names += (names.empty() ? "" : ", ") + words_of(member(gpu, "name"));
    return names;
}

std::string patch_words(const json& code) {
    const json& diff = member(code, "diff");
    if (!diff.is_object()) return "unchanged";
    return fmt::format("{} bytes of changes, {}", words_of(member(diff, "bytes")),
                       words_of(member(diff, "sha256")).substr(0, kShortCommit));
}

void compare_code(Comparison& comparison, const json& before, const json& after) {
    if (before.is_null() && after.is_null()) return;
    comparison.value("commit", words_of(member(before, "commit")).substr(0, kShortCommit),
                     words_of(member(after, "commit")).substr(0, kShortCommit));
    comparison.value("uncommitted changes", patch_words(before), patch_words(after));
    comparison.values("untracked file", untracked_of(before), untracked_of(after));
}

} // namespace

std::vector<Difference> compare(const std::string& kind, const Values& before, const Values& after) {
    std::set<std::string> keys;
    for (const auto* side : {&before, &after})
        for (const auto& [key, value] : *side) keys.insert(key);
    std::vector<Difference> found;
    for (const auto& key : keys) {
        auto a = before.find(key), b = after.find(key);
        std::string x = a == before.end() ? "" : a->second, y = b == after.end() ? "" : b->second;
        if (x != y || (a == before.end()) != (b == after.end())) found.push_back({kind + " " + key, x, y});
    }
    return found;
}

Values last_metrics(const fs::path& run_dir) {
    Values values;
    const json metrics = metrics_of_run(run_dir);
    for (const auto& [name, metric] : metrics.items()) values[name] = words_of(member(metric, "last"));
    return values;
}

RunView view_of(const fs::path& run_dir) {
    RunView view;
    view.run = read_json(run_dir / "run.json").value_or(json::object());
    auto attempts = read_attempts(run_dir);
    if (!attempts.empty()) view.outcome = attempts.back().second;
    view.packages = split(read_file(run_dir / "code" / "packages.txt").value_or(""), '\n');
    view.metrics = last_metrics(run_dir);
    return view;
}

RunView present_view(const Workspace& workspace, const RunSpec& spec) {
    RunView view;
    Redactor redactor = redactor_of(workspace.settings);
    view.run = new_run_record("", spec, std::nullopt, redactor);
    const auto limit = std::uint64_t(workspace.settings.integer("capture.untracked_limit"));
    CodeCapture capture{spec.cwd, workspace.store.dir(), limit, redactor, {}};
    view.run["code"] = capture_code(capture);
    if (auto python = capture_python(spec)) {
        view.packages = split(python->packages, '\n');
        view.run["python"] = python->facts;
    }
    view.run["hardware"] = describe_machine();
    return view;
}

std::vector<Difference> differences(const RunView& before, const RunView& after, bool outcomes) {
    Comparison comparison;
    const json &a = before.run, &b = after.run;
    compare_parameters(comparison, a, b);
    comparison.value("working directory", words_of(member(a, "cwd")), words_of(member(b, "cwd")));
    compare_code(comparison, member(a, "code"), member(b, "code"));
    comparison.values("variable", environment_of(a), environment_of(b));
    comparison.value("Python", words_of(member(member(a, "python"), "version")),
                     words_of(member(member(b, "python"), "version")));
    comparison.values("package", packages_of(before), packages_of(after));
    comparison.value("host", words_of(member(a, "host")), words_of(member(b, "host")));
    comparison.value("GPU", gpus_of(a), gpus_of(b));
    if (outcomes) {
        for (const char* key : {"status", "exit_code", "signal"})
            comparison.value(key, words_of(member(before.outcome, key)), words_of(member(after.outcome, key)));
        comparison.value("outcome", words_of(member(before.outcome, "reason")),
                         words_of(member(after.outcome, "reason")));
        comparison.values("metric", before.metrics, after.metrics);
    }
    return comparison.take();
}

std::string render_differences(const std::vector<Difference>& found, const Terminal& terminal,
                               const std::string& before, const std::string& after) {
    Table table({{"WHAT DIFFERS"}, {before, 10}, {after, 10}});
    for (const auto& it : found)
        table.add({{printable(it.what), Colour::none},
                   {it.before.empty() ? "-" : printable(it.before), Colour::dim},
                   {it.after.empty() ? "-" : printable(it.after), Colour::bold}});
    return table.render(terminal);
}

} // namespace poster
