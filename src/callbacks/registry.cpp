#include "registry.hpp"

#include <fmt/format.h>

// A build with callbacks of its own names another list.
#ifndef POSTER_CALLBACKS_DEF
#define POSTER_CALLBACKS_DEF "callbacks.def"
#endif

namespace poster {

#define POSTER_CALLBACK(name) extern const CallbackEntry name##_callback;
#include POSTER_CALLBACKS_DEF
#undef POSTER_CALLBACK

const std::vector<const CallbackEntry*>& registry() {
    static const std::vector<const CallbackEntry*> entries{
#define POSTER_CALLBACK(name) &name##_callback,
#include POSTER_CALLBACKS_DEF
#undef POSTER_CALLBACK
    };
    return entries;
}

std::vector<Option> callback_options() {
    std::vector<Option> options;
    for (const auto* entry : registry()) {
        options.push_back({entry->name + ".enabled", OptionType::flag, "true", "false turns this callback off"});
        options.insert(options.end(), entry->options.begin(), entry->options.end());
    }
    return options;
}

Activation activation_of(const CallbackEntry& entry, const Settings& settings) {
    std::string key = entry.name + ".enabled";
    if (!settings.flag(key)) return {false, fmt::format("turned off in {}", settings.values().at(key).source)};
    return entry.activate(settings);
}

} // namespace poster
