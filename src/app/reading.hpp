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
#include <records.hpp>

#include "workspace.hpp"

namespace poster {

struct Reading {
    Workspace workspace;
    std::unique_ptr<Index> index; // none: there is no store
};

Reading read_store(const std::optional<std::string>& store_flag);
// The same, for commands that cannot do without: throws Error where there is no store.
Reading read_existing_store(const std::optional<std::string>& store_flag);
// Each run once, in the order of the words. Throws UsageError for a word that names none, or several.
std::vector<RunRow> find_runs(const Reading& reading, const std::vector<std::string>& words);
std::string no_store_message(const Workspace& workspace);

// attempts/N of a run, by number; those without a readable attempt.json are left out.
std::vector<std::pair<int, nlohmann::json>> read_attempts(const std::filesystem::path& run_dir);
// "no sign of life for 3m", for an attempt said to run on another host; empty: nothing to worry about.
std::string worry_about(const std::filesystem::path& attempt_dir, const nlohmann::json& attempt);

} // namespace poster
