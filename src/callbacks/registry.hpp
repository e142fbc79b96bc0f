#pragma once
// The static, ordered list of callbacks. Each file defines `extern const CallbackEntry NAME_callback`.

#include <vector>

#include <poster/callback.hpp>

namespace poster {

const std::vector<const CallbackEntry*>& registry();
std::vector<Option> callback_options(); // of all entries, plus SECTION.enabled for each
// What activate() says, or off with the reason when [NAME] enabled = false.
Activation activation_of(const CallbackEntry& entry, const Settings& settings);

} // namespace poster
