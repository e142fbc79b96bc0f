#pragma once
// What runs are asked and sorted by beside their columns: config.KEY, metrics.NAME.last|min|max|count, summary.KEY.

#include <filesystem>
#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <value.hpp>

namespace poster {

using RunValues = std::map<std::string, Value>;

// From run.json's `config` and `summary` and the attempts' metrics.json; nested objects flattened with dots. Long texts
// are cut, what is beyond kMostValues is left out.
inline constexpr std::size_t kMostValues = 5000;
RunValues values_of_run(const std::filesystem::path& run_dir);
RunValues values_of(const nlohmann::json& config, const nlohmann::json& summary, const nlohmann::json& metrics);

nlohmann::json json_of_values(const RunValues& values);
RunValues values_from_json(const nlohmann::json& values);

} // namespace poster
