#pragma once
// Settings that name a file or folder.

#include <filesystem>
#include <string>
#include <string_view>

#include <poster/settings.hpp>

namespace poster {

// `~` and `~/…` with the home in front: no shell has expanded it in a file.
std::filesystem::path with_home(const std::string& text);

// `~` is the home; what is relative lies beside the file that says it, or in the working directory where a variable
// does. Empty: the setting is.
std::filesystem::path path_setting(const Settings& settings, std::string_view key);

} // namespace poster
