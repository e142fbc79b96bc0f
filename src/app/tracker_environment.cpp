#include "tracker_environment.hpp"

#include <algorithm>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include <child_files.hpp>
#include <records.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kLongestTag = 64; // characters, for W&B

// A poster around this one has steered its own child, which is this poster: those ids are of its run.
bool is_of_an_outer_run() {
    const char* outer = std::getenv("POSTER_RUN_ID");
    const char* id = std::getenv("WANDB_RUN_ID");
    return outer != nullptr && id != nullptr && std::string_view(outer) == id;
}

// Separated by commas; W&B takes tags of 1 to 64 characters.
std::string wandb_tags(const std::vector<std::string>& tags) {
    std::string joined;
    for (std::string tag : tags) {
        std::replace(tag.begin(), tag.end(), ',', ' ');
        tag = shorten(tag, kLongestTag);
        if (tag.find_first_not_of(' ') == std::string::npos) continue;
        joined += (joined.empty() ? "" : ",") + tag;
    }
    return joined;
}

void steer_wandb(const Settings& settings, const Run& run, std::vector<std::string>& variables) {
    const bool outer = is_of_an_outer_run();
    const auto set = [&](const std::string& name, const std::string& value) {
        const bool in_spec = std::any_of(run.spec.environment.begin(), run.spec.environment.end(),
                                         [&](const auto& change) { return change.first == name; });
        if (value.empty() || in_spec || (!outer && std::getenv(name.c_str()) != nullptr)) return;
        variables.push_back(name + "=" + value);
    };
    set("WANDB_DIR", run.dir.string());
    set("WANDB_RUN_ID", run.id);
    set("WANDB_RESUME", "allow");
    set("WANDB_RUN_GROUP", run.spec.group);
    set("WANDB_NAME", run.spec.name);
    set("WANDB_TAGS", wandb_tags(run.spec.tags));
    set("WANDB_MODE", settings.text("wandb.mode"));
}

// MLflow takes only a run that exists: the one that an earlier attempt has made.
void steer_mlflow(const Run& run, const json& record, std::vector<std::string>& variables) {
    if (!environment_of_child(run.spec, "MLFLOW_RUN_ID").empty()) return;
    const json section = record.is_object() ? record.value("mlflow", json::object()) : json::object();
    const json runs = section.is_object() ? section.value("runs", json::array()) : json::array();
    if (!runs.is_array() || runs.size() != 1) return; // which one, of several?
    if (std::string id = text_of(runs.front(), "run_id"); !id.empty()) variables.push_back("MLFLOW_RUN_ID=" + id);
}

} // namespace

std::vector<std::string> tracker_environment(const Settings& settings, const Run& run, const json& record) {
    std::vector<std::string> variables;
    if (settings.flag("wandb.steer")) steer_wandb(settings, run, variables);
    if (settings.flag("mlflow.steer") && run.attempt > 1) steer_mlflow(run, record, variables);
    return variables;
}

} // namespace poster
