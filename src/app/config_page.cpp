#include "config_page.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <records.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

std::string words_of(const json& value) {
    if (value.is_string()) return value.get<std::string>();
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<std::string> texts_of(const json& list) {
    std::vector<std::string> texts;
    for (const auto& element : list.is_array() ? list : json::array())
        if (element.is_string()) texts.push_back(element.get<std::string>());
    return texts;
}

// "model.width" counts as given where "model" was.
bool is_given(const std::set<std::string>& given, const std::string& name) {
    for (std::size_t end = name.size(); end != std::string::npos && end > 0; end = name.rfind('.', end - 1))
        if (given.contains(name.substr(0, end))) return true;
    return false;
}

void flatten(const std::string& name, const json& value, LabelledValues& flat) {
    if (!value.is_object() || value.empty()) {
        flat.emplace_back(name, words_of(value));
        return;
    }
    for (const auto& [key, inner] : value.items())
        flatten(name.empty() ? key : fmt::format("{}.{}", name, key), inner, flat);
}

// "app.py train" of a group and its command, "app.py load → app.py fit" of a chain.
std::string commands_of(const json& config) {
    std::string chain, last;
    for (const auto& entry : member(config, "commands")) {
        const std::string command = text_of(entry, "command");
        const bool goes_on = !last.empty() && command.starts_with(last + " ");
        chain = goes_on ? chain.substr(0, chain.size() - last.size()) : chain + (chain.empty() ? "" : " → ");
        chain += command;
        last = command;
    }
    return chain.empty() ? text_of(config, "command") : chain;
}

} // namespace

LabelledValues flat_values(const json& values) {
    LabelledValues flat;
    if (values.is_object() && !values.empty()) flatten("", values, flat);
    return flat;
}

std::string config_title(const json& config) {
    const std::string source = text_of(config, "source"), rung = text_of(config, "rung");
    std::string origin = source;
    if (rung == "hook") origin = source + ", read inside the program";
    if (rung == "files") origin = "from the files that Hydra wrote";
    if (source == "argv-guess") origin = "guessed from the command line";
    if (source == "argv-fire") origin = "from the command line, as Fire reads it";
    if (source == "logged") origin = "as the program logged it";
    if (member(config, "given").is_array() && !member(config, "given").empty()) origin += "; * given";
    return origin.empty() ? "Config" : fmt::format("Config ({})", origin);
}

LabelledValues config_values(const json& config) {
    const auto names = texts_of(member(config, "given"));
    const std::set<std::string> given(names.begin(), names.end());
    LabelledValues first, rest;
    const json& defaults = member(config, "defaults");
    for (const auto& [name, value] : flat_values(member(config, "values"))) {
        if (!is_given(given, name)) {
            rest.emplace_back(name, value);
            continue;
        }
        const json& usual = member(defaults, name.c_str());
        const bool differs = !usual.is_null() && words_of(usual) != value;
        first.emplace_back(name, value + (differs ? fmt::format(" *  (default {})", words_of(usual)) : " *"));
    }
    LabelledValues about;
    if (std::string command = commands_of(config); command.find_first_of(" .") != std::string::npos)
        about.emplace_back("called as", command);
    for (const char* key : {"positionals", "extra"})
        if (const json& words = member(config, key); words.is_array() && !words.empty())
            about.emplace_back(key, words_of(words));
    if (member(config, "jobs").is_array())
        about.emplace_back("overrides", shell_join(texts_of(member(config, "overrides"))));
    about.insert(about.end(), first.begin(), first.end());
    about.insert(about.end(), rest.begin(), rest.end());
    for (const auto& [group, choice] : flat_values(member(config, "choices")))
        if (!group.starts_with("hydra/")) about.emplace_back("choice " + group, choice);
    about.emplace_back("output folder",
                       text_of(config, member(config, "jobs").is_array() ? "sweep_dir" : "output_dir"));
    return about;
}

LabelledValues config_jobs(const json& config) {
    LabelledValues rows;
    const char* unknown = text_of(config, "rung") == "hook" ? "running" : "-"; // files do not tell
    for (const auto& job : member(config, "jobs")) {
        std::string status = text_of(job, "status");
        std::string words = fmt::format("{:<11}  {}", status.empty() ? unknown : status,
                                        shell_join(texts_of(member(job, "overrides"))));
        for (const char* key : {"error", "output_dir"})
            if (std::string text = text_of(job, key); !text.empty()) words += "  " + text;
        rows.emplace_back(words_of(member(job, "number")), words);
    }
    return rows;
}

} // namespace poster
