#include "secret_setting.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "error.hpp"
#include "files.hpp"
#include "load_settings.hpp"
#include "path_setting.hpp"
#include "subprocess.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;

constexpr const char* kFile = "_file";
constexpr const char* kCommand = "_command";
constexpr mode_t kOthers = 077;
constexpr std::size_t kMostBytes = 64 << 10;
constexpr CommandLimits kLimits{30s, kMostBytes};

const Settings::Value* value_of(const Settings& settings, const std::string& key) {
    const auto found = settings.values().find(key);
    return found == settings.values().end() || found->second.text.empty() ? nullptr : &found->second;
}

bool is_from_environment(const Settings::Value& value) {
    return value.source.starts_with("POSTER_");
}

// One line as a rule; some tools end it as DOS does.
std::string without_line_end(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
}

std::string home() {
    const char* folder = std::getenv("HOME");
    return folder != nullptr ? folder : "";
}

std::string read_beginning(int file, const fs::path& path) {
    std::string bytes(kMostBytes, '\0');
    std::size_t size = 0;
    for (ssize_t got = 1; got != 0 && size < kMostBytes; size += std::size_t(got)) {
        got = ::read(file, bytes.data() + size, kMostBytes - size);
        if (got < 0) throw_errno("read " + path.native(), errno);
    }
    bytes.resize(size);
    return bytes;
}

std::string from_file(const Settings& settings, const std::string& key, const Settings::Value& value) {
    const fs::path path = path_setting(settings, key + kFile);
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file)
        throw Error(fmt::format("{} cannot be read: {}", path.native(), std::strerror(errno)),
                    fmt::format("{}{} names it (set in {})", key, kFile, value.source));
    struct stat facts{};
    check_syscall("look at " + path.native(), ::fstat(file.get(), &facts));
    if (facts.st_uid != ::geteuid() && facts.st_uid != 0)
        throw Error(fmt::format("{} belongs to somebody else (uid {})", path.native(), facts.st_uid),
                    "a file of your own with the secret in it, and `chmod 600` for it");
    if ((facts.st_mode & kOthers) != 0)
        throw Error(fmt::format("{} can be read by others (mode {:04o})", path.native(), facts.st_mode & 07777),
                    fmt::format("chmod 600 {}", path.native()));
    if (!S_ISREG(facts.st_mode)) throw Error(fmt::format("{} is no file", path.native()), "it should hold " + key);
    std::string secret = without_line_end(read_beginning(file.get(), path));
    if (secret.empty()) throw Error(fmt::format("{} is empty", path.native()), "it should hold " + key);
    return secret;
}

std::string from_command(const std::string& key, const Settings::Value& value) {
    const std::string folder = home();
    const CommandResult result =
        run_command({"/bin/sh", "-c", value.text}, folder.empty() ? fs::path("/") : fs::path(folder), kLimits);
    const std::string named = fmt::format("the command of {}{}", key, kCommand);
    if (result.exit_code != 0)
        throw Error(result.exit_code < 0 ? named + " did not end in time or could not be started"
                                         : fmt::format("{} failed with exit code {}", named, result.exit_code),
                    fmt::format("it is set in {}; try it in a shell", value.source));
    std::string secret = without_line_end(result.output);
    if (secret.empty()) throw Error(named + " printed nothing", fmt::format("it is set in {}", value.source));
    return secret;
}

} // namespace

std::vector<Option> secret_options(const std::string& key, const std::string& what) {
    std::string variable = variable_of(key);
    return {{key, OptionType::text, "", fmt::format("{}; by {} rather than in a file", what, variable)},
            {key + kFile, OptionType::text, "", what + ": a file with it that you alone can read"},
            {key + kCommand, OptionType::text, "", what + ": a command that prints it"}};
}

bool has_secret(const Settings& settings, const std::string& key) {
    return value_of(settings, key) || value_of(settings, key + kFile) || value_of(settings, key + kCommand);
}

std::string secret_of(const Settings& settings, const std::string& key) {
    const Settings::Value* plain = value_of(settings, key);
    if (plain && is_from_environment(*plain)) return without_line_end(plain->text);
    if (const auto* file = value_of(settings, key + kFile)) return from_file(settings, key, *file);
    if (const auto* command = value_of(settings, key + kCommand)) return from_command(key, *command);
    return plain ? without_line_end(plain->text) : std::string();
}

bool is_secret_setting(const Settings& settings, const std::string& key) {
    return settings.values().contains(key + kFile) && settings.values().contains(key + kCommand);
}

std::vector<std::string> plain_secrets(const Settings& settings) {
    std::vector<std::string> warnings;
    for (const auto& [key, value] : settings.values()) {
        if (value.text.empty() || value.source == "default" || is_from_environment(value)) continue;
        if (!is_secret_setting(settings, key)) continue;
        struct stat facts{};
        const bool is_private = ::stat(value.source.c_str(), &facts) == 0 && (facts.st_mode & kOthers) == 0;
        // A project's file is shared sooner or later, whatever its mode.
        if (is_private && fs::path(value.source).filename() != "poster.toml") continue;
        warnings.push_back(fmt::format("{} stands plain in {}; better by {}, {}{} or {}{}", key, value.source,
                                       variable_of(key), key, kFile, key, kCommand));
    }
    return warnings;
}

} // namespace poster
