#include "run_record.hpp"

#include <error.hpp>
#include <records.hpp>

namespace poster {

void RunRecord::merge(std::string_view section, const nlohmann::json& value) {
    std::lock_guard lock(mutex_);
    if (content_.is_null()) content_ = read_json(file_).value_or(nlohmann::json::object());
    auto& target = content_[std::string(section)];
    if (target.is_object() && value.is_object())
        target.update(value);
    else
        target = value;
    dirty_ = true;
}

bool RunRecord::dirty() const {
    std::lock_guard lock(mutex_);
    return dirty_;
}

void RunRecord::flush() {
    std::lock_guard lock(mutex_);
    if (!dirty_) return;
    dirty_ = false;
    try {
        write_json(file_, content_);
    } catch (const Error&) {
        // The supervisor's warning about the same directory is enough.
    }
}

} // namespace poster
