#include "python_state.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>
#include <subprocess.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

// -I keeps the user's own site-packages out, the program will have them: told here, where site.py would add them.
constexpr std::string_view kQuestion = R"(
import sys, json, site, os
path = list(sys.path)
venv = sys.prefix != getattr(sys, 'base_prefix', sys.prefix)
shared = True
if venv:
    try:
        shared = 'include-system-site-packages = true' in open(os.path.join(sys.prefix, 'pyvenv.cfg')).read().lower()
    except OSError:
        shared = False
if shared and not os.environ.get('PYTHONNOUSERSITE'):
    base = os.environ.get('PYTHONUSERBASE')
    if base: site.USER_BASE = os.path.expanduser(base)
    path.insert(len([p for p in path if 'site-packages' not in p and 'dist-packages' not in p]),
                site.getusersitepackages())
print(json.dumps({'executable': sys.executable, 'version': '.'.join(map(str, sys.version_info[:3])),
                  'implementation': getattr(getattr(sys, 'implementation', None), 'name', ''), 'prefix': sys.prefix,
                  'base_prefix': getattr(sys, 'base_prefix', sys.prefix), 'path': path}))
)";

bool is_python(const fs::path& program) {
    std::string name = program.filename();
    return name.starts_with("python") && name.find_first_not_of("0123456789.", 6) == std::string::npos;
}

// The interpreter that a script's first line names; empty: none, or not Python.
std::string shebang_python(const fs::path& script) {
    Fd file(::open(script.c_str(), O_RDONLY | O_CLOEXEC));
    char buffer[256];
    ssize_t n = file ? ::read(file.get(), buffer, sizeof buffer) : 0;
    std::string line(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
    if (!line.starts_with("#!")) return {};
    line = line.substr(2, line.find('\n') - 2);
    for (const auto& word : split(line, ' '))
        if (is_python(word)) return word;
    return {};
}

// As the child's exec would: on the PATH of the run, where it has one of its own.
std::optional<fs::path> find_for(const RunSpec& spec, const std::string& name) {
    const std::string* path = nullptr;
    for (const auto& [variable, value] : spec.environment)
        if (variable == "PATH") path = &value;
    if (path == nullptr || name.find('/') != std::string::npos) return find_program(name, spec.cwd);
    for (const auto& folder : split(*path, ':'))
        if (auto found = find_program((spec.cwd / folder / name).string(), spec.cwd)) return found;
    return std::nullopt;
}

std::optional<fs::path> interpreter_of(const RunSpec& spec) {
    auto program = find_for(spec, spec.argv.front());
    if (!program) return std::nullopt;
    if (is_python(*program)) return program;
    std::string named = shebang_python(*program);
    return named.empty() ? std::nullopt : find_for(spec, named);
}

struct Package {
    std::string name, version;
};

// "my_pkg-1.2.dist-info", "old-5.0-py3.9.egg-info": in a file name '_' stands where the package's own name has '-'.
Package named_by(const std::string& file_name) {
    std::string stem = file_name.substr(0, file_name.rfind('.'));
    auto dash = stem.find('-');
    if (dash == std::string::npos) return {stem, ""};
    auto end = stem.find('-', dash + 1);
    return {stem.substr(0, dash), stem.substr(dash + 1, end == std::string::npos ? end : end - dash - 1)};
}

// "Name: x" and "Version: 1" of a package's metadata, which is a folder, or with the oldest tools a file.
std::optional<Package> package_of(const fs::path& entry) {
    std::string file_name = entry.filename();
    bool wheel = file_name.ends_with(".dist-info");
    if (!wheel && !file_name.ends_with(".egg-info")) return std::nullopt;
    std::error_code failure;
    bool plain = fs::is_regular_file(entry, failure);
    std::string metadata = read_file(plain ? entry : entry / (wheel ? "METADATA" : "PKG-INFO")).value_or("");
    Package package;
    for (std::size_t start = 0; start < metadata.size() && (package.name.empty() || package.version.empty());) {
        auto end = std::min(metadata.find('\n', start), metadata.size());
        std::string line = metadata.substr(start, end - start);
        if (line.ends_with('\r')) line.pop_back();
        if (line.empty()) break; // the description begins
        if (line.starts_with("Name: ")) package.name = line.substr(6);
        if (line.starts_with("Version: ")) package.version = line.substr(9);
        start = end + 1;
    }
    Package named = named_by(file_name);
    if (package.name.empty()) package.name = named.name;
    if (package.version.empty()) package.version = named.version;
    return package;
}

// "Torch_X" and "torch-x" are one package.
std::string normalized(std::string name) {
    for (char& c : name)
        c = c == '_' || c == '.' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return name;
}

std::string list_packages(const json& path) {
    std::map<std::string, std::string> lines; // the first on the path is the one that is imported
    for (const auto& entry : path) {
        if (!entry.is_string() || entry.get<std::string>().empty()) continue;
        std::error_code failure;
        for (const auto& item : fs::directory_iterator(entry.get<std::string>(), failure))
            if (auto package = package_of(item.path()))
                lines.emplace(normalized(package->name),
                              package->version.empty() ? package->name : package->name + "==" + package->version);
    }
    std::string text;
    for (const auto& [name, line] : lines) text += line + "\n";
    return text;
}

// What chooses the interpreter behind a shim (PYENV_VERSION …) may be set for the run alone.
std::vector<std::string> assignments(const RunSpec& spec) {
    std::vector<std::string> words;
    for (const auto& [name, value] : spec.environment) words.push_back(name + "=" + value);
    return words;
}

} // namespace

std::optional<PythonState> capture_python(const RunSpec& spec) {
    auto interpreter = interpreter_of(spec);
    if (!interpreter) return std::nullopt;
    CommandLimits limits;
    limits.timeout = std::chrono::seconds(10);
    CommandResult answer =
        run_command({interpreter->string(), "-I", "-c", std::string(kQuestion)}, spec.cwd, limits, assignments(spec));
    json facts = json::parse(answer.output, nullptr, false);
    if (answer.exit_code != 0 || !facts.is_object() || !facts.contains("path") || !facts["path"].is_array())
        return PythonState{{{"executable", interpreter->string()}, {"error", "it did not answer"}}, ""};
    std::string packages = list_packages(facts["path"]);
    facts["virtual_environment"] = facts["prefix"] != facts["base_prefix"];
    facts.erase("path");
    facts["packages"] = {
        {"file", "code/packages.txt"}, {"count", split(packages, '\n').size()}, {"sha256", sha256_hex(packages)}};
    return PythonState{std::move(facts), std::move(packages)};
}

} // namespace poster
