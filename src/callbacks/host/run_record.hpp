#pragma once
// run.json while the run lives: sections are gathered from any thread and written together, atomically. Each time into
// what is there by then: a `poster tag` may have come between.

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace poster {

class RunRecord {
public:
    explicit RunRecord(std::filesystem::path file) : file_(std::move(file)) {}

    void merge(std::string_view section, const nlohmann::json& value);   // objects; else as replace()
    void replace(std::string_view section, const nlohmann::json& value); // what is there
    bool dirty() const;
    bool flush(); // false: it could not be written; what was to be written stays

private:
    struct Change {
        std::string section;
        nlohmann::json value;
        bool whole = false;
    };

    std::filesystem::path file_;
    mutable std::mutex mutex_;
    std::vector<Change> changes_; // to be written, in order
};

} // namespace poster
