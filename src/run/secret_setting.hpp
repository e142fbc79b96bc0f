#pragma once
// Secrets among the settings. Of a key "telegram.token" there are three settings: itself, for the variable
// POSTER_TELEGRAM_TOKEN; "telegram.token_file", a file that its owner alone can read; "telegram.token_command", which
// prints it.

#include <string>
#include <string_view>
#include <vector>

#include <poster/settings.hpp>

namespace poster {

// The three options; `what` it is: "the bot's token".
std::vector<Option> secret_options(const std::string& key, const std::string& what);
// True if one of the three is set.
bool has_secret(const Settings& settings, const std::string& key);
// The secret, without the newline at its end; empty: none is set. The variable wins over the file, the file over the
// command, and what stands plain in a settings file comes last. Reads the file or runs the command each time. Throws
// Error with what to do; no text of it holds the secret.
std::string secret_of(const Settings& settings, const std::string& key);
// A key beside which "KEY_file" and "KEY_command" exist.
bool is_secret_setting(const Settings& settings, const std::string& key);
// A warning for each secret that stands plain in a settings file which others may come to read.
std::vector<std::string> plain_secrets(const Settings& settings);

} // namespace poster
