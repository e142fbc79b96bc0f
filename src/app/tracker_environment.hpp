#pragma once
// [wandb] steer and [mlflow] steer: variables by which the trackers that the child uses take all attempts of a run for
// one run of theirs.

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <poster/run.hpp>
#include <poster/settings.hpp>

namespace poster {

// NAME=VALUE for the child; what the user has set is left alone. `record`: run.json, with what earlier attempts told.
std::vector<std::string> tracker_environment(const Settings& settings, const Run& run, const nlohmann::json& record);

} // namespace poster
