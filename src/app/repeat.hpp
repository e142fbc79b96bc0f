#pragma once
// From a stored run back to a spec that can be run, and the words that `rerun` and `continue` add to it.

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <poster/run.hpp>

namespace poster {

// Adds `extra` to a command line. `key=value` (also +key=, ++key=, ~key) replaces the same key that is there already,
// `--opt value` and `--opt=value` the same option; everything else is appended.
std::vector<std::string> merge_arguments(std::vector<std::string> argv, const std::vector<std::string>& extra);

// The same for the command line of a Hydra program, by Hydra's grammar where the run's config or the script's text says
// that it is one.
std::vector<std::string> merge_arguments_of(const nlohmann::json& run, const RunSpec& spec,
                                            const std::vector<std::string>& extra);

// The spec of run.json with `extra` merged in. Redacted values of variables are left to the present environment. Throws
// Error where the run cannot be run here: an argument that was redacted, a variable that is not set, a working
// directory or a program that is gone.
RunSpec repeatable_spec(const nlohmann::json& run, const std::vector<std::string>& extra);
// Of a spec whose words and folder are settled. Throws Error.
void check_runnable(const RunSpec& spec);

} // namespace poster
