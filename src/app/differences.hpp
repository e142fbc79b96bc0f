#pragma once
// What differs between two runs, or between a run and what would run now.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "workspace.hpp"

namespace poster {

struct Difference {
    std::string what; // "argument lr", "code", "package torch", "variable CUDA_VISIBLE_DEVICES"
    std::string before, after;
};

using Values = std::map<std::string, std::string>;
// A difference "KIND KEY" for each key that is not the same on both sides.
std::vector<Difference> compare(const std::string& kind, const Values& before, const Values& after);

// run.json and what belongs to it.
struct RunView {
    nlohmann::json run;
    nlohmann::json outcome;            // of the last attempt; null: none
    std::vector<std::string> packages; // "name==version"
    Values metrics;                    // name to its last value
};
Values last_metrics(const fs::path& run_dir);
RunView view_of(const fs::path& run_dir);
// As a run of this spec would be recorded now, of the same interpreter.
RunView present_view(const Workspace& workspace, const RunSpec& spec);

// Command line, config, code, environment, packages, host, GPUs; `outcomes`: and how they ended.
std::vector<Difference> differences(const RunView& before, const RunView& after, bool outcomes);
std::string render_differences(const std::vector<Difference>& found, const struct Terminal& terminal,
                               const std::string& before, const std::string& after);

} // namespace poster
