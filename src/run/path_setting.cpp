#include "path_setting.hpp"

#include <cstdlib>

namespace poster {

namespace fs = std::filesystem;

fs::path with_home(const std::string& text) {
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0' || (text != "~" && text.rfind("~/", 0) != 0)) return text;
    return text.size() <= 2 ? fs::path{home} : fs::path{home} / text.substr(2);
}

fs::path path_setting(const Settings& settings, std::string_view key) {
    const std::string text = settings.text(key);
    if (text.empty()) return {};
    const fs::path path = with_home(text);
    if (path.is_absolute()) return path.lexically_normal();
    const fs::path source = settings.values().find(key)->second.source;
    std::error_code gone;
    const fs::path base = source.is_absolute() ? source.parent_path() : fs::current_path(gone);
    return (base / path).lexically_normal();
}

} // namespace poster
