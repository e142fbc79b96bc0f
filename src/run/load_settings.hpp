#pragma once
// Reads the settings from their four places and checks each key.

#include <filesystem>
#include <string>
#include <vector>

#include <poster/settings.hpp>

namespace poster {

struct SettingsSources {
    std::filesystem::path project_file; // poster.toml; empty or absent: none
    std::filesystem::path user_file;    // ~/.config/poster/config.toml
    bool environment = true;            // POSTER_SECTION_KEY for section.key
};

// Settings of poster itself: store, run.grace, run.timeout, capture.redact, capture.keep, log.level …
const std::vector<Option>& core_options();
std::string variable_of(const std::string& key); // POSTER_SECTION_KEY
// `options` holds every known key (core and callbacks). A section may always hold `enabled = false`.
// Throws UsageError naming file, line, the unknown key and its nearest neighbour, or a value of the wrong type.
Settings load_settings(const SettingsSources& sources, const std::vector<Option>& options);

} // namespace poster
