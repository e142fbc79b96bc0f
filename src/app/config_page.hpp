#pragma once
// The section `config` of run.json in words: where it comes from, what was given, and the jobs of a sweep.

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poster {

using LabelledValues = std::vector<std::pair<std::string, std::string>>;

LabelledValues flat_values(const nlohmann::json& values); // {"a": {"b": 1}} is a.b
std::string config_title(const nlohmann::json& config);   // "Config (argparse, read inside the program; * given)"
// What the command line gave first and marked with *, then the rest; nested values by dotted names.
LabelledValues config_values(const nlohmann::json& config);
LabelledValues config_jobs(const nlohmann::json& config); // number to status, overrides, folder

} // namespace poster
