#include "redact_values.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr int kDeepest = 60;

json redacted_at(const Redactor& redactor, const std::string& name, const json& value, int depth) {
    if (value.is_structured() && depth >= kDeepest) return "…";
    if (value.is_object()) {
        json safe = json::object();
        for (const auto& [key, member] : value.items())
            safe[key] = redacted_at(redactor, name.empty() ? key : name + '.' + key, member, depth + 1);
        return safe;
    }
    if (value.is_array()) {
        json safe = json::array();
        for (const auto& element : value) safe.push_back(redacted_at(redactor, name, element, depth + 1));
        return safe;
    }
    if (value.is_string()) return redactor.value(name, value.get_ref<const std::string&>());
    if (value.is_number() && redactor.is_secret(name, value.dump())) return kRedacted;
    return value;
}

} // namespace

json redacted_values(const Redactor& redactor, std::string_view name, const json& value) {
    return redacted_at(redactor, std::string(name), value, 0);
}

json redacted_words(const Redactor& redactor, const json& words) {
    const bool plain =
        words.is_array() && std::all_of(words.begin(), words.end(), [](const json& word) { return word.is_string(); });
    if (!plain) return redacted_values(redactor, "", words);
    std::vector<std::string> argv{"program"};
    for (const auto& word : words) argv.push_back(word.get<std::string>());
    argv = redactor.arguments(argv);
    argv.erase(argv.begin());
    return argv;
}

} // namespace poster
