#include "workspace.hpp"

#include <sys/stat.h>

#include <cstdlib>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>
#include <load_settings.hpp>
#include <metric_patterns.hpp>
#include <path_setting.hpp>
#include <registry.hpp>

namespace poster {

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

// A deleted working directory is no reason not to run a command: the program would run there as well.
fs::path working_directory() {
    std::error_code failure;
    fs::path cwd = fs::current_path(failure);
    if (!failure) return cwd;
    cwd = variable("PWD");
    return cwd.is_absolute() ? cwd : fs::path{"/"};
}

// The nearest poster.toml up from `cwd`; empty: none.
fs::path project_file(const fs::path& cwd) {
    for (fs::path dir = cwd;; dir = dir.parent_path()) {
        struct stat facts{};
        if (::stat((dir / "poster.toml").c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) return dir / "poster.toml";
        if (!dir.has_relative_path()) return {};
    }
}

fs::path user_file() {
    const fs::path directory = user_directory("XDG_CONFIG_HOME", ".config");
    return directory.empty() ? directory : directory / "config.toml";
}

std::vector<Option> all_options() {
    std::vector<Option> options = core_options();
    const auto more = callback_options();
    options.insert(options.end(), more.begin(), more.end());
    return options;
}

fs::path tidy(const fs::path& path) {
    const fs::path normal = path.lexically_normal();
    return normal.has_filename() || !normal.has_relative_path() ? normal : normal.parent_path(); // "a/b/" is "a/b"
}

fs::path store_of(const Settings& settings, const fs::path& cwd, const fs::path& project) {
    const auto& value = settings.values().find("store")->second;
    if (value.text.empty()) return default_store(cwd);
    const bool from_command_line = value.source == "--store" || value.source == "POSTER_STORE";
    // In a file it means the same from every folder of the project.
    const fs::path base = from_command_line ? cwd
                          : project.empty() ? default_store(cwd).parent_path()
                                            : project.parent_path();
    return base / with_home(value.text);
}

// A pattern that is none would be found out only in the callback host, when the run is under way.
void check_patterns(const Settings& settings) {
    const auto patterns = settings.list("metrics.patterns");
    if (patterns.empty()) return;
    try {
        const MetricPatterns compiled(patterns);
    } catch (const UsageError& error) {
        const std::string& source = settings.values().at("metrics.patterns").source;
        throw UsageError(fmt::format("setting 'metrics.patterns' ({}): {}", source, error.what()), error.help());
    }
}

// The same of what messengers are to tell.
void check_messengers(const Settings& settings) {
    for (const auto* entry : registry())
        if (entry->hooks.deliver) activation_of(*entry, settings);
}

} // namespace

Workspace open_workspace(const std::optional<std::string>& store_flag) {
    if (store_flag && store_flag->empty()) throw UsageError("--store wants a directory");
    const fs::path cwd = working_directory();
    const fs::path project = project_file(cwd);
    Settings settings = load_settings({project, user_file(), true}, all_options());
    check_patterns(settings);
    check_messengers(settings);
    if (store_flag) settings.set("store", *store_flag, "--store");
    const fs::path dir = tidy(store_of(settings, cwd, project));
    settings.set("store", dir.native(),
                 settings.values().find("store")->second.source); // `poster config` shows it whole
    return {cwd, std::move(settings), Store{dir}};
}

Settings settings_of(const Workspace& workspace, const RunSpec& spec) {
    Settings settings = workspace.settings;
    if (spec.scan_metrics) settings.set("metrics.stdout", "true", "--scan-metrics");
    return settings;
}

Redactor redactor_of(const Settings& settings) {
    return Redactor(settings.list("capture.redact"), settings.list("capture.keep"));
}

} // namespace poster
