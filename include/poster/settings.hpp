#pragma once
// Effective settings: poster.toml, the user's config.toml, POSTER_* variables, flags; the later wins.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <poster/run.hpp>

namespace poster {

enum class OptionType { text, flag, integer, number, duration, list };

// One known key, "section.name". Keys that no option declares are errors.
struct Option {
    std::string key;
    OptionType type = OptionType::text;
    std::string fallback; // as it would be written in a POSTER_* variable; lists are comma-separated, a comma is "\\,"
    std::string help;
};

class Settings {
public:
    struct Value {
        std::string text;   // lists are comma-separated
        std::string source; // "default", a file's path, "POSTER_STORE", "--store"
    };

    // The typed getters throw Error for a key that no option declares.
    std::string text(std::string_view key) const;
    bool flag(std::string_view key) const;
    long integer(std::string_view key) const;
    double number(std::string_view key) const;
    Milliseconds duration(std::string_view key) const;
    std::vector<std::string> list(std::string_view key) const;

    // True if anything but a default gives this key, or any key of this section.
    bool contains(std::string_view key_or_section) const;
    void set(std::string key, std::string text, std::string source);
    const std::map<std::string, Value, std::less<>>& values() const { return values_; }

private:
    const Value& at(std::string_view key) const;
    std::map<std::string, Value, std::less<>> values_;
};

} // namespace poster
