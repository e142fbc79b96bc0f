#include "captured_config.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include <records.hpp>

#include "hydra_override.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kMostDetailed = 1000; // jobs; of the rest only what differs is kept

json object_or_empty(const json& value) {
    return value.is_object() ? value : json::object();
}

json array_or_empty(const json& value) {
    return value.is_array() ? value : json::array();
}

bool is_hydra(const std::string& framework) {
    return framework.starts_with("hydra");
}

// Chains of calls are one record each; whatever else parses twice means the same parameters.
bool has_chains(const std::string& framework) {
    return framework == "click" || framework == "typer" || framework == "fire";
}

void add_names(json& names, const json& more) {
    for (const auto& name : array_or_empty(more))
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

// "train" of "app.py train" and of "Trainer.train".
std::string last_part(const std::string& command) {
    return command.substr(command.find_last_of(" .") + 1);
}

json without(const json& values, const json& common) {
    json rest = json::object();
    for (const auto& [key, value] : values.items())
        if (!common.contains(key)) rest[key] = value;
    return rest;
}

constexpr const char* kJobFields[] = {"values", "raw", "overrides", "choices", "output_dir", "targets"};
constexpr const char* kRunFields[] = {"sweep_dir", "task", "version"};

} // namespace

json common_values(const std::vector<json>& jobs) {
    json common = json::object();
    bool first = true;
    for (const auto& job : jobs) {
        const json& values = member(job, "values");
        if (!values.is_object()) continue;
        if (first) common = values;
        first = false;
        for (auto it = common.begin(); it != common.end();) {
            auto same = values.find(it.key());
            it = same != values.end() && *same == *it ? std::next(it) : common.erase(it);
        }
    }
    return common;
}

json given_names(const json& overrides) {
    json given = json::array();
    for (const auto& word : overrides) {
        if (!word.is_string()) continue;
        auto parsed = parse_hydra_override(word.get<std::string>());
        if (parsed && parsed->kind != HydraOverride::Kind::remove) add_names(given, json::array({parsed->path}));
    }
    return given;
}

void CapturedConfig::add(std::string_view writer, const json& event) {
    const std::string framework = text_of(event, "framework");
    if (framework.empty()) return;
    const std::string key = fmt::format("{} {}", writer, number_of(event, "pid").value_or(0));
    auto found = std::find_if(processes_.begin(), processes_.end(), [&](const auto& it) { return it.first == key; });
    if (found == processes_.end()) found = processes_.emplace(processes_.end(), key, Process{});
    Process& process = found->second;
    process.is_main |= member(event, "main") == json(true);
    if (auto rank = number_of(event, "rank")) process.rank = long(*rank);
    if (process.program.empty()) process.program = text_of(event, "program");
    Record& record = record_of(process, framework);
    if (is_hydra(framework))
        add_phase(record, event);
    else
        add_call(record, event);
}

void CapturedConfig::add_logged(const json& event) {
    if (number_of(event, "rank").value_or(0) > 0) return;
    logged_.update(object_or_empty(member(event, "values")));
}

// hydra-zen runs on Hydra: what both say is one record.
CapturedConfig::Record& CapturedConfig::record_of(Process& process, const std::string& framework) {
    for (auto& record : process.records) {
        const bool both_hydra = is_hydra(record.framework) && is_hydra(framework);
        if (record.framework != framework && !both_hydra) continue;
        if (framework.size() > record.framework.size()) record.framework = framework;
        return record;
    }
    process.records.emplace_back().framework = framework;
    return process.records.back();
}

void CapturedConfig::add_call(Record& record, const json& event) {
    const std::string command = text_of(event, "command");
    auto call = record.calls.end();
    if (!has_chains(record.framework))
        call = record.calls.begin();
    else if (record.framework != "fire") // where each call of a chain counts, also the same one again
        call = std::find_if(record.calls.begin(), record.calls.end(),
                            [&](const Call& it) { return it.command == command; });
    if (call == record.calls.end()) call = record.calls.emplace(record.calls.end());
    if (!command.empty()) call->command = command;
    call->values.update(object_or_empty(member(event, "values")));
    call->defaults.update(object_or_empty(member(event, "defaults")));
    add_names(call->given, member(event, "given"));
    call->extra = array_or_empty(member(event, "extra"));
}

void CapturedConfig::add_phase(Record& record, const json& event) {
    const std::string phase = text_of(event, "phase");
    if (phase == "run_start") record.start = event;
    if (phase == "job_start" || phase.empty()) {
        json job{{"mode", text_of(event, "mode")}, {"number", member(event, "job")}};
        for (const char* field : kJobFields)
            if (event.contains(field)) job[field] = event[field];
        for (const char* field : kRunFields)
            if (event.contains(field)) record.start[field] = event[field];
        if (record.jobs.size() >= kMostDetailed) job.erase("raw");
        record.jobs.push_back(std::move(job));
    }
    if (phase != "job_end") return;
    const auto job = std::find_if(record.jobs.rbegin(), record.jobs.rend(), [&](const json& it) {
        return member(it, "number") == member(event, "job") && !it.contains("status");
    });
    if (job == record.jobs.rend()) return;
    (*job)["status"] = member(event, "status");
    if (event.contains("error")) (*job)["error"] = event["error"];
}

const CapturedConfig::Process& CapturedConfig::speaker() const {
    const auto worth = [this](const Process& process) {
        const bool is_script = !program_.empty() && process.program == program_;
        return std::tuple(!is_script, !process.is_main, process.rank.value_or(0));
    };
    const auto best = std::min_element(processes_.begin(), processes_.end(),
                                       [&](const auto& a, const auto& b) { return worth(a.second) < worth(b.second); });
    return best->second;
}

// Hydra's own command line is parsed by argparse; whoever uses Hydra means its configuration.
const CapturedConfig::Record& CapturedConfig::main_record(const Process& process) {
    for (const auto& record : process.records)
        if (is_hydra(record.framework)) return record;
    return process.records.front();
}

void CapturedConfig::put_calls(const Record& record, json& section) {
    json values = json::object(), given = json::array(), defaults = json::object(), commands = json::array();
    json extra = json::array();
    for (const auto& call : record.calls) {
        const auto name_for = [&](const std::string& key) {
            if (!values.contains(key)) return key;
            const std::string prefix = last_part(call.command);
            std::string name = fmt::format("{}.{}", prefix, key);
            for (int n = 2; values.contains(name); ++n) name = fmt::format("{}.{}.{}", prefix, n, key);
            return name;
        };
        std::map<std::string, std::string> names;
        for (const auto& [key, value] : call.values.items()) names[key] = name_for(key);
        for (const auto& [key, name] : names) values[name] = call.values[key];
        for (const auto& key : call.given)
            if (key.is_string())
                given.push_back(names.contains(key) ? names[key.get<std::string>()] : key.get<std::string>());
        for (const auto& [key, value] : call.defaults.items()) defaults[names.contains(key) ? names[key] : key] = value;
        for (const auto& word : call.extra) extra.push_back(word);
        json command{{"command", call.command}, {"values", call.values}, {"given", call.given}};
        if (!call.defaults.empty()) command["defaults"] = call.defaults;
        commands.push_back(std::move(command));
    }
    section.update({{"values", values}, {"given", given}});
    if (!defaults.empty()) section["defaults"] = defaults;
    if (!extra.empty()) section["extra"] = extra;
    if (record.calls.size() > 1) section["commands"] = commands;
    if (!record.calls.empty() && !record.calls.back().command.empty()) section["command"] = record.calls.back().command;
}

// Launchers such as joblib and submitit run the jobs of a sweep in processes of their own.
std::vector<json> CapturedConfig::jobs_of(const Record& record) const {
    std::vector<json> jobs = record.jobs;
    if (text_of(record.start, "mode") != "MULTIRUN") return jobs;
    for (const auto& [name, process] : processes_)
        for (const auto& other : process.records) {
            if (&other == &record || !is_hydra(other.framework)) continue;
            for (const auto& job : other.jobs)
                if (text_of(job, "mode") == "MULTIRUN") jobs.push_back(job);
        }
    std::stable_sort(jobs.begin(), jobs.end(), [](const json& a, const json& b) {
        return number_of(a, "number").value_or(0) < number_of(b, "number").value_or(0);
    });
    return jobs;
}

void CapturedConfig::put_jobs(const Record& record, bool ended, json& section) const {
    std::vector<json> jobs = jobs_of(record);
    const json& start = record.start;
    const bool single = jobs.size() == 1 && text_of(jobs.front(), "mode") != "MULTIRUN";
    json whole = single ? jobs.front() : start;
    for (const char* field : kJobFields)
        if (whole.contains(field)) section[field] = whole[field];
    for (const char* field : kRunFields)
        if (start.contains(field)) section[field] = start[field];
    if (auto mode = text_of(whole, "mode"); !mode.empty()) section["mode"] = mode;
    section["overrides"] = array_or_empty(member(section, "overrides"));
    section["given"] = given_names(section["overrides"]);
    const json common = single || jobs.empty() ? object_or_empty(member(whole, "values")) : common_values(jobs);
    section["values"] = common;
    json told = json::array();
    for (auto& job : jobs) {
        job.erase("mode");
        if (ended && !job.contains("status")) job["status"] = "INTERRUPTED";
        if (job["number"].is_null()) job["number"] = told.size();
        if (told.size() >= kMostDetailed && job.contains("values")) job["values"] = without(job["values"], common);
        told.push_back(job);
    }
    if (single && told[0].contains("status")) {
        section["status"] = told[0]["status"];
        if (told[0].contains("error")) section["error"] = told[0]["error"];
    }
    if (!single && !told.empty()) section["jobs"] = told;
}

json CapturedConfig::other_records(const Process& process, const Record& main) {
    json others = json::array();
    for (const auto& record : process.records) {
        if (&record == &main || is_hydra(record.framework)) continue;
        json other{{"source", record.framework}};
        put_calls(record, other);
        others.push_back(std::move(other));
    }
    return others;
}

json CapturedConfig::section(bool ended) const {
    if (processes_.empty()) return {};
    const Process& process = speaker();
    const Record& record = main_record(process);
    json section{{"source", record.framework}, {"rung", "hook"}};
    if (!process.program.empty()) section["program"] = process.program;
    if (is_hydra(record.framework))
        put_jobs(record, ended, section);
    else
        put_calls(record, section);
    if (json others = other_records(process, record); !others.empty()) section["also"] = others;
    return section;
}

} // namespace poster
