#pragma once
// Where a command works: the working directory, its settings, and its store.

#include <filesystem>
#include <optional>
#include <string>

#include <poster/settings.hpp>
#include <redact.hpp>
#include <store.hpp>

namespace poster {

struct Workspace {
    std::filesystem::path cwd;
    Settings settings;
    Store store;
};

// `store_flag`: --store. Throws UsageError for bad settings.
Workspace open_workspace(const std::optional<std::string>& store_flag);

// The settings of one run: what its command line set goes with it, also when another command finishes it.
Settings settings_of(const Workspace& workspace, const RunSpec& spec);

Redactor redactor_of(const Settings& settings);

} // namespace poster
