#include "run_record.hpp"

#include <error.hpp>
#include <records.hpp>

namespace poster {

void RunRecord::merge(std::string_view section, const nlohmann::json& value) {
    std::lock_guard lock(mutex_);
    sections_.emplace_back(section, value);
}

bool RunRecord::dirty() const {
    std::lock_guard lock(mutex_);
    return !sections_.empty() && !sections_.back().second.is_null();
}

bool RunRecord::flush() {
    std::lock_guard lock(mutex_);
    if (sections_.empty() || sections_.back().second.is_null()) return true;
    auto content = read_json(file_);
    if (!content || !content->is_object()) return false; // what is missing must not be replaced by a fragment
    for (const auto& [section, value] : sections_) {
        auto& target = (*content)[section];
        if (target.is_object() && value.is_object())
            target.update(value);
        else
            target = value;
    }
    try {
        write_json(file_, *content);
    } catch (const Error&) {
        return false; // the supervisor's warning about the same directory is enough
    }
    sections_.clear();
    return true;
}

} // namespace poster
