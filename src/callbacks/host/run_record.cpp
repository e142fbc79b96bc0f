#include "run_record.hpp"

#include <error.hpp>
#include <records.hpp>

namespace poster {

void RunRecord::merge(std::string_view section, const nlohmann::json& value) {
    std::lock_guard lock(mutex_);
    changes_.push_back({std::string(section), value, false});
}

void RunRecord::replace(std::string_view section, const nlohmann::json& value) {
    std::lock_guard lock(mutex_);
    changes_.push_back({std::string(section), value, true});
}

bool RunRecord::dirty() const {
    std::lock_guard lock(mutex_);
    return !changes_.empty();
}

bool RunRecord::flush() {
    std::lock_guard lock(mutex_);
    if (changes_.empty()) return true;
    auto content = read_json(file_);
    if (!content || !content->is_object()) return false; // what is missing must not be replaced by a fragment
    for (const auto& [section, value, whole] : changes_) {
        auto& target = (*content)[section];
        if (!whole && target.is_object() && value.is_object())
            target.update(value);
        else
            target = value;
    }
    try {
        write_json(file_, *content);
    } catch (const Error&) {
        return false; // the supervisor's warning about the same directory is enough
    }
    changes_.clear();
    return true;
}

} // namespace poster
