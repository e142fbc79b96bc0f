#include "repeat.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <command_words.hpp>
#include <error.hpp>
#include <hydra_override.hpp>
#include <python_imports.hpp>
#include <records.hpp>
#include <redact.hpp>
#include <subprocess.hpp>
#include <text.hpp>

#include "reading.hpp"
#include "table.hpp"

namespace poster {

namespace {

using Words = std::vector<std::string>;

bool is_number(const std::string& word) {
    char* end = nullptr;
    std::strtod(word.c_str(), &end);
    return !word.empty() && *end == '\0';
}

bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && word != "--" && !is_number(word);
}

bool is_value(const std::string& word) {
    return !is_option(word) && word != "--";
}

std::string option_name(const std::string& word) {
    return word.substr(0, word.find('='));
}

// "lr" of lr=0.1, +lr=0.1, ++lr=0.1, ~lr and ~lr=0.1; nullopt: no override.
std::optional<std::string> override_key(const std::string& word) {
    if (is_option(word)) return std::nullopt;
    std::size_t begin = word.find_first_not_of("+~");
    if (begin == std::string::npos) return std::nullopt;
    std::size_t equals = word.find('=');
    bool deletes = word[0] == '~';
    if (equals == std::string::npos && !deletes) return std::nullopt;
    std::string key = word.substr(begin, equals == std::string::npos ? equals : equals - begin);
    bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-' || c == '@' || c == '/' || c == ':';
    });
    return plain && key.find("://") == std::string::npos ? std::optional(key) : std::nullopt;
}

// How many words an option takes up: itself, and its value where that is a word of its own.
std::size_t option_length(const Words& words, std::size_t at) {
    bool apart = words[at].find('=') == std::string::npos;
    return apart && at + 1 < words.size() && is_value(words[at + 1]) && !override_key(words[at + 1]) ? 2 : 1;
}

class Merger {
public:
    explicit Merger(Words argv) : argv_(std::move(argv)) {}

    void add(const Words& extra) {
        for (std::size_t i = 0; i < extra.size();) {
            if (extra[i] == "--") { // what follows is positional
                append({extra.begin() + std::ptrdiff_t(i), extra.end()});
                return;
            }
            if (auto key = override_key(extra[i])) {
                put_override(*key, extra[i++]);
                continue;
            }
            if (!is_option(extra[i])) {
                append({extra[i++]});
                continue;
            }
            std::size_t length = option_length(extra, i);
            put_option({extra.begin() + std::ptrdiff_t(i), extra.begin() + std::ptrdiff_t(i + length)});
            i += length;
        }
    }
    Words take() { return std::move(argv_); }

private:
    void append(const Words& words) { argv_.insert(argv_.end(), words.begin(), words.end()); }

    void put_override(const std::string& key, const std::string& word) {
        for (std::size_t i = argv_.size(); i-- > 1;) {
            if (override_key(argv_[i]) != key) continue;
            argv_[i] = word;
            return;
        }
        argv_.push_back(word);
    }

    void put_option(const Words& words) {
        const std::string name = option_name(words.front());
        for (std::size_t i = argv_.size(); i-- > 1;) {
            if (!is_option(argv_[i]) || option_name(argv_[i]) != name) continue;
            // A flag without a value replaces only itself: what follows it may be a positional.
            bool has_value = words.size() > 1 || words.front().find('=') != std::string::npos;
            auto begin = argv_.begin() + std::ptrdiff_t(i);
            auto end = begin + std::ptrdiff_t(has_value ? option_length(argv_, i) : 1);
            argv_.insert(argv_.erase(begin, end), words.begin(), words.end());
            return;
        }
        append(words);
    }

    Words argv_;
};

bool is_hydra_run(const nlohmann::json& run, const RunSpec& spec) {
    if (auto config = run.find("config"); config != run.end() && config->is_object()) {
        const std::string source = text_of(*config, "source");
        if (source.starts_with("hydra") || source == "files") return true;
        if (text_of(*config, "rung") == "hook") return false;
    }
    const auto entry = python_entry(spec.argv, spec.cwd);
    return entry && python_imports(*entry, spec.cwd).hydra_main;
}

bool is_redacted(const std::string& word) {
    return word.find(kRedacted) != std::string::npos;
}

void refuse_redacted(const Words& argv) {
    for (const auto& word : argv) {
        if (!is_redacted(word)) continue;
        throw Error(fmt::format("the argument '{}' was redacted when the run was recorded", printable(word)),
                    "give it again after `--`, or read the secret from a variable or a file");
    }
}

// A redacted value is the present environment's.
void settle_environment(RunSpec& spec) {
    for (auto& [name, value] : spec.environment) {
        if (!is_redacted(value)) continue;
        const char* present = std::getenv(name.c_str());
        if (present == nullptr)
            throw Error(
                fmt::format("the value of {} was redacted when the run was recorded, and it is not set now", name),
                fmt::format("export {}=…", name));
        value = present;
    }
}

} // namespace

std::vector<std::string> merge_arguments(std::vector<std::string> argv, const std::vector<std::string>& extra) {
    Merger merger(std::move(argv));
    merger.add(extra);
    return merger.take();
}

Words merge_arguments_of(const nlohmann::json& run, const RunSpec& spec, const Words& extra) {
    if (extra.empty()) return spec.argv;
    if (!is_hydra_run(run, spec)) return merge_arguments(spec.argv, extra);
    return merge_hydra_words(spec.argv, find_own_words(spec.argv).first_own, extra);
}

RunSpec repeatable_spec(const nlohmann::json& run, const std::vector<std::string>& extra) {
    RunSpec spec = spec_from_json(run);
    if (spec.argv.empty()) throw Error("its run.json names no command");
    spec.argv = merge_arguments_of(run, spec, extra);
    refuse_redacted(spec.argv);
    settle_environment(spec);
    return spec;
}

void check_runnable(const RunSpec& spec) {
    std::error_code failure;
    if (!spec.cwd.empty() && !fs::is_directory(spec.cwd, failure))
        throw Error(fmt::format("its working directory {} is gone", printable(spec.cwd.string())));
    if (!find_program(spec.argv.front(), spec.cwd))
        throw Error(fmt::format("its program '{}' is not found", printable(spec.argv.front())),
                    spec.argv.front().find('/') == std::string::npos ? "is its environment active?" : "");
}

} // namespace poster
