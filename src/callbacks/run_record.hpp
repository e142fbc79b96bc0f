#pragma once
// run.json while the run lives: sections are gathered from any thread and written together, atomically. Each time into
// what is there by then: a `poster tag` may have come between.

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace poster {

class RunRecord {
public:
    explicit RunRecord(std::filesystem::path file) : file_(std::move(file)) {}

    // Objects are merged; null clears what is there, and is not written before what follows it.
    void merge(std::string_view section, const nlohmann::json& value);
    bool dirty() const;
    bool flush(); // false: it could not be written; what was to be written stays

private:
    std::filesystem::path file_;
    mutable std::mutex mutex_;
    std::vector<std::pair<std::string, nlohmann::json>> sections_; // to be written
};

} // namespace poster
