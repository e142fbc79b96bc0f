#pragma once
// What every command that reads the store does first: abandoned runs get their outcomes, the index is brought up to
// date.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <index.hpp>
#include <nlohmann/json_fwd.hpp>

#include "workspace.hpp"

namespace poster {

struct Reading {
    Workspace workspace;
    std::unique_ptr<Index> index; // none: there is no store
};

Reading read_store(const std::optional<std::string>& store_flag);
// The same, for commands that cannot do without: throws Error where there is no store.
Reading read_existing_store(const std::optional<std::string>& store_flag);
std::string no_store_message(const Workspace& workspace);

// attempts/N of a run, by number; those without a readable attempt.json are left out.
std::vector<std::pair<int, nlohmann::json>> read_attempts(const std::filesystem::path& run_dir);
// "no sign of life for 3m", for an attempt said to run on another host; empty: nothing to worry about.
std::string worry_about(const std::filesystem::path& attempt_dir, const nlohmann::json& attempt);

// A record may be of another version, or edited: what is absent or of another type is empty.
std::string text_of(const nlohmann::json& record, const char* key);
std::optional<double> number_of(const nlohmann::json& record, const char* key);

} // namespace poster
