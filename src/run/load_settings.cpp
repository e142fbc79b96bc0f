#include "load_settings.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "clock.hpp"
#include "error.hpp"
#include "files.hpp"
#include "text.hpp"

namespace poster {

namespace {

constexpr std::string_view kEnabled = "enabled";

struct Wanted {
    std::string words;
    std::string example;
};

Wanted wanted(OptionType type) {
    switch (type) {
    case OptionType::text: return {"a string", "\"…\""};
    case OptionType::flag: return {"true or false", "true"};
    case OptionType::integer: return {"a whole number", "10"};
    case OptionType::number: return {"a number", "0.5"};
    case OptionType::duration: return {"a duration", "\"10s\", \"1h30m\" or a number of seconds"};
    case OptionType::list: return {"a list of strings", "[\"a\", \"b\"]"};
    }
    return {};
}

std::string section_of(const std::string& key) {
    const auto dot = key.rfind('.');
    return dot == std::string::npos ? std::string{} : key.substr(0, dot);
}

// Everything that may be set: the options, and `enabled` of each of their sections.
class KnownKeys {
public:
    explicit KnownKeys(const std::vector<Option>& options) {
        for (const auto& option : options) {
            options_.insert_or_assign(option.key, option.type);
            if (const auto section = section_of(option.key); !section.empty()) {
                sections_.insert(section);
                options_.try_emplace(fmt::format("{}.{}", section, kEnabled), OptionType::flag);
            }
        }
    }

    std::optional<OptionType> type(const std::string& key) const {
        const auto found = options_.find(key);
        return found == options_.end() ? std::nullopt : std::optional{found->second};
    }
    bool is_section(const std::string& name) const { return sections_.contains(name); }
    const std::map<std::string, OptionType>& options() const { return options_; }

    std::string nearest(const std::string& key) const {
        std::vector<std::string> keys;
        for (const auto& [known, type] : options_) keys.push_back(known);
        keys.insert(keys.end(), sections_.begin(), sections_.end());
        if (auto near = closest(key, keys); !near.empty()) return near;
        const std::string last = key.substr(key.rfind('.') + 1); // the right key in the wrong section, or in none
        for (const auto& [known, type] : options_) {
            if (known.substr(known.rfind('.') + 1) == last && last != kEnabled) return known;
        }
        return {};
    }

private:
    std::map<std::string, OptionType> options_;
    std::set<std::string> sections_;
};

std::optional<std::string> element_text(const toml::node& node) {
    if (node.is_string()) return node.as_string()->get();
    if (node.is_integer()) return std::to_string(node.as_integer()->get());
    if (node.is_floating_point()) return fmt::format("{}", node.as_floating_point()->get());
    if (node.is_boolean()) return node.as_boolean()->get() ? "true" : "false";
    return {};
}

std::optional<std::string> list_text(const toml::node& node) {
    if (!node.is_array()) return node.is_string() ? element_text(node) : std::nullopt;
    std::string joined;
    for (const auto& element : *node.as_array()) {
        const auto text = element_text(element);
        if (!text) return {};
        if (!joined.empty()) joined += ',';
        for (const char c : *text) joined += c == ',' ? std::string("\\,") : std::string(1, c);
    }
    return joined;
}

// The value as it would be written in a POSTER_* variable; nullopt: of the wrong type.
std::optional<std::string> text_of(const toml::node& node, OptionType type) {
    const auto when = [&](bool right) { return right ? element_text(node) : std::nullopt; };
    switch (type) {
    case OptionType::text: return when(node.is_string());
    case OptionType::flag: return when(node.is_boolean());
    case OptionType::integer: return when(node.is_integer());
    case OptionType::number: return when(node.is_number());
    case OptionType::duration: return when(node.is_number() || node.is_string());
    case OptionType::list: return list_text(node);
    }
    return {};
}

// Whether the typed getter of this option takes it.
bool is_valid(const std::string& text, OptionType type) {
    Settings probe;
    probe.set("probe", text, "");
    try {
        switch (type) {
        case OptionType::text:
        case OptionType::list: break;
        case OptionType::flag: probe.flag("probe"); break;
        case OptionType::integer: probe.integer("probe"); break;
        case OptionType::number: probe.number("probe"); break;
        case OptionType::duration: probe.duration("probe"); break;
        }
    } catch (const UsageError&) {
        return false;
    }
    return true;
}

[[noreturn]] void refuse_type(const std::string& what, OptionType type) {
    const Wanted want = wanted(type);
    throw UsageError(fmt::format("{} is not {}", what, want.words), "write it like " + want.example);
}

// One settings file.
class FileReader {
public:
    FileReader(const fs::path& path, std::string shown, const KnownKeys& known, Settings& settings)
        : path_(path), shown_(std::move(shown)), known_(known), settings_(settings) {}

    void read() {
        const auto content = read_file(path_);
        if (!content) {
            if (::access(path_.c_str(), F_OK) == 0) throw UsageError(shown_ + " cannot be read");
            return;
        }
        const toml::parse_result parsed = toml::parse(*content, path_.native());
        if (!parsed) {
            throw UsageError(fmt::format("{} line {}: {}", shown_, parsed.error().source().begin.line,
                                         parsed.error().description()));
        }
        take(parsed.table(), "");
    }

private:
    void take(const toml::table& table, const std::string& prefix) {
        for (const auto& [name, node] : table) {
            const std::string key = prefix.empty() ? std::string{name.str()} : prefix + '.' + std::string{name.str()};
            const auto line = node.source().begin.line;
            if (const auto type = known_.type(key)) {
                take_value(key, node, *type);
            } else if (!node.is_table() || (node.as_table()->empty() && !known_.is_section(key))) {
                refuse_key(key, line);
            } else if (node.as_table()->empty()) {
                settings_.set(fmt::format("{}.{}", key, kEnabled), "true",
                              path_.native()); // "[wandb]" alone turns it on
            } else {
                take(*node.as_table(), key);
            }
        }
    }

    void take_value(const std::string& key, const toml::node& node, OptionType type) {
        const auto text = text_of(node, type);
        if (!text || !is_valid(*text, type)) {
            refuse_type(fmt::format("setting '{}' in {} line {}", key, shown_, node.source().begin.line), type);
        }
        settings_.set(key, *text, path_.native());
    }

    [[noreturn]] void refuse_key(const std::string& key, std::uint32_t line) const {
        const std::string near = known_.nearest(key);
        throw UsageError(fmt::format("unknown setting '{}' in {} line {}", key, shown_, line),
                         near.empty() ? "`poster config` lists all settings" : fmt::format("did you mean '{}'?", near));
    }

    const fs::path& path_;
    std::string shown_; // what messages call the file
    const KnownKeys& known_;
    Settings& settings_;
};

std::string with_tilde(const fs::path& path) {
    const char* home = std::getenv("HOME");
    const std::string prefix = home && *home ? std::string{home} + '/' : std::string{};
    if (prefix.empty() || path.native().rfind(prefix, 0) != 0) return path.native();
    return "~/" + path.native().substr(prefix.size());
}

void read_environment(const KnownKeys& known, Settings& settings) {
    for (const auto& [key, type] : known.options()) {
        const std::string variable = variable_of(key);
        const char* value = std::getenv(variable.c_str());
        if (!value || *value == '\0') continue;
        if (!is_valid(value, type)) refuse_type("environment variable " + variable, type);
        settings.set(key, value, variable);
    }
}

} // namespace

std::string variable_of(const std::string& key) {
    std::string name = "POSTER_";
    for (const char c : key) name += c == '.' || c == '-' ? '_' : c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
    return name;
}

const std::vector<Option>& core_options() {
    static const std::vector<Option> options{
        {"store", OptionType::text, "", "folder that keeps the runs (default: .poster at the root of the project)"},
        {"run.grace", OptionType::duration, "10s", "time between SIGTERM and SIGKILL when a run is ended"},
        {"run.timeout", OptionType::duration, "", "time limit of one attempt (default: none)"},
        {"capture.redact", OptionType::list, "", "more names whose values are secret (globs)"},
        {"capture.keep", OptionType::list, "", "names whose values stay readable (globs)"},
        {"capture.untracked_limit", OptionType::integer, "10000000",
         "bytes of untracked files kept with a run, in all"},
        {"capture.python", OptionType::flag, "true", "read the parameters of Python programs from inside them"},
        {"client.python_path", OptionType::flag, "true", "put poster's folder at the end of the child's PYTHONPATH"},
        {"continue.append", OptionType::list, "",
         "words that `poster continue` adds to the command; {run_dir}, {run_id} and {attempt} are filled in"},
        {"sync.mode", OptionType::text, "auto", "auto: runs deliver in the background; manual: `poster sync` does"},
        {"sync.interval", OptionType::duration, "60s", "how often a run that goes on brings its copies up to date"},
        {"sync.wait", OptionType::duration, "",
         "how long a run waits for its deliveries at its end (default: only where a scheduler would end them)"},
        {"sync.jobs", OptionType::integer, "10", "transfers at a time"},
        {"upload.include", OptionType::list, "run.json,attempts/,config/,code/,files/,images/",
         "what of a run directory is copied (globs below it; a folder stands for all in it)"},
        {"upload.exclude", OptionType::list, "", "what of that is left out (globs)"},
        {"ls.limit", OptionType::integer, "50", "how many runs `poster ls` shows"},
    };
    return options;
}

Settings load_settings(const SettingsSources& sources, const std::vector<Option>& options) {
    const KnownKeys known{options};
    Settings settings;
    for (const auto& option : options) settings.set(option.key, option.fallback, "default");
    if (!sources.project_file.empty()) {
        FileReader{sources.project_file, sources.project_file.filename().native(), known, settings}.read();
    }
    if (!sources.user_file.empty()) {
        FileReader{sources.user_file, with_tilde(sources.user_file), known, settings}.read();
    }
    if (sources.environment) read_environment(known, settings);
    return settings;
}

} // namespace poster
