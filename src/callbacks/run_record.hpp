#pragma once
// run.json while the run lives: sections are merged in memory from any thread and written together, atomically.

#include <filesystem>
#include <mutex>
#include <string_view>

#include <nlohmann/json.hpp>

namespace poster {

class RunRecord {
public:
    explicit RunRecord(std::filesystem::path file) : file_(std::move(file)) {}

    void merge(std::string_view section, const nlohmann::json& value);
    bool dirty() const;
    void flush(); // a directory that is gone stops the record, nothing else

private:
    std::filesystem::path file_;
    mutable std::mutex mutex_;
    nlohmann::json content_; // null: not loaded yet
    bool dirty_ = false;
};

} // namespace poster
