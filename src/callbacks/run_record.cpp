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
    return !sections_.empty();
}

void RunRecord::flush() {
    std::lock_guard lock(mutex_);
    if (sections_.empty()) return;
    auto content = read_json(file_).value_or(nlohmann::json::object());
    for (auto& [section, value] : std::exchange(sections_, {})) {
        auto& target = content[section];
        if (target.is_object() && value.is_object())
            target.update(value);
        else
            target = std::move(value);
    }
    try {
        write_json(file_, content);
    } catch (const Error&) {
        // The supervisor's warning about the same directory is enough.
    }
}

} // namespace poster
