#include "run_values.hpp"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <metric_totals.hpp>
#include <records.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kLongestText = 500; // bytes of one value

std::string cut(const std::string& text) {
    return text.size() <= kLongestText ? text : valid_utf8(text.substr(0, kLongestText));
}

Value value_of(const json& value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_string()) return cut(value.get<std::string>());
    if (value.is_null()) return {};
    if (value.is_number()) {
        const auto number = value.get<double>();
        // A seed of 64 bits is a name rather than a quantity.
        if (value.is_number_integer() && std::abs(number) >= kExactBelow) return value.dump();
        return number;
    }
    return cut(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

void flatten(const std::string& path, const json& value, RunValues& values) {
    if (value.is_object() && !value.empty()) {
        for (const auto& [key, element] : value.items()) flatten(path + "." + key, element, values);
    } else if (values.size() < kMostValues) {
        values[path] = value_of(value);
    }
}

} // namespace

RunValues values_of(const json& config, const json& summary, const json& metrics) {
    RunValues values;
    if (metrics.is_object())
        for (const auto& [name, metric] : metrics.items())
            for (const char* part : {"last", "min", "max", "count"})
                if (const json& value = member(metric, part); !value.is_null() && values.size() < kMostValues)
                    values[fmt::format("metrics.{}.{}", name, part)] = value_of(value);
    if (summary.is_object()) flatten("summary", summary, values);
    for (const char* part : {"logged", "values"}) // the latter is more certain
        if (const json& content = member(config, part); content.is_object()) flatten("config", content, values);
    return values;
}

RunValues values_of_run(const std::filesystem::path& run_dir) {
    const json run = read_json(run_dir / "run.json").value_or(json::object());
    return values_of(member(run, "config"), member(run, "summary"), metrics_of_run(run_dir));
}

json json_of_values(const RunValues& values) {
    json all = json::object();
    for (const auto& [key, value] : values) all[key] = json_of(value);
    return all;
}

RunValues values_from_json(const json& values) {
    RunValues all;
    if (values.is_object())
        for (const auto& [key, value] : values.items())
            if (all.size() < kMostValues) all[key] = value_of(value);
    return all;
}

} // namespace poster
