// For Python commands: which interpreter, and which packages it has.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include <nlohmann/json.hpp>

#include <files.hpp>
#include <objects.hpp>
#include <poster/callback.hpp>
#include <sha256.hpp>
#include <subprocess.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr std::string_view kQuestion =
    "import sys,json;print(json.dumps({'executable':sys.executable,'version':'.'.join(map(str,sys.version_info[:3])),"
    "'implementation':getattr(getattr(sys,'implementation',None),'name',''),'prefix':sys.prefix,"
    "'base_prefix':getattr(sys,'base_prefix',sys.prefix),'path':sys.path}))";

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

std::optional<fs::path> interpreter_of(const RunSpec& spec) {
    auto program = find_program(spec.argv.front(), spec.cwd);
    if (!program) return std::nullopt;
    if (is_python(*program)) return program;
    std::string named = shebang_python(*program);
    return named.empty() ? std::nullopt : find_program(named, spec.cwd);
}

// "Name: x" and "Version: 1" of a package's metadata; a directory's name alone has '_' where the package has '-'.
std::optional<std::string> package_of(const fs::path& directory) {
    std::string name = directory.filename();
    bool wheel = name.ends_with(".dist-info");
    if (!wheel && !name.ends_with(".egg-info")) return std::nullopt;
    std::string metadata = read_file(directory / (wheel ? "METADATA" : "PKG-INFO")).value_or("");
    std::string package;
    std::string version;
    for (std::size_t start = 0; start < metadata.size() && (package.empty() || version.empty());) {
        auto end = std::min(metadata.find('\n', start), metadata.size());
        std::string line = metadata.substr(start, end - start);
        if (line.empty()) break; // the description begins
        if (line.starts_with("Name: ")) package = line.substr(6);
        if (line.starts_with("Version: ")) version = line.substr(9);
        start = end + 1;
    }
    if (package.empty()) package = name.substr(0, std::min(name.find('-'), name.rfind('.')));
    return version.empty() ? package : package + "==" + version;
}

std::string list_packages(const json& path) {
    std::set<std::string> packages;
    for (const auto& entry : path) {
        if (!entry.is_string() || entry.get<std::string>().empty()) continue;
        std::error_code failure;
        for (const auto& item : fs::directory_iterator(entry.get<std::string>(), failure))
            if (auto package = package_of(item.path())) packages.insert(*package);
    }
    std::string lines;
    for (const auto& package : packages) lines += package + "\n";
    return lines;
}

class Python : public Callback {
public:
    void on_start(const Run& run) override {
        auto interpreter = interpreter_of(run.spec);
        if (!interpreter) return;
        CommandLimits limits;
        limits.timeout = std::chrono::seconds(10);
        CommandResult answer =
            run_command({interpreter->string(), "-I", "-c", std::string(kQuestion)}, run.spec.cwd, limits);
        json facts = json::parse(answer.output, nullptr, false);
        if (answer.exit_code != 0 || !facts.is_object()) {
            run.record("python", {{"executable", interpreter->string()}, {"error", "it did not answer"}});
            return;
        }
        std::string packages = list_packages(facts["path"]);
        make_directories(run.dir / "code");
        store_object(run.store, packages, run.dir / "code" / "packages.txt");
        facts["virtual_environment"] = facts["prefix"] != facts["base_prefix"];
        facts.erase("path");
        facts["packages"] = {
            {"file", "code/packages.txt"}, {"count", split(packages, '\n').size()}, {"sha256", sha256_hex(packages)}};
        run.record("python", facts);
    }
};

} // namespace

extern const CallbackEntry python_callback;
const CallbackEntry python_callback = callback_entry<Python>(
    "python", "for Python commands: the interpreter, its version, the installed packages", {},
    [](const Settings&) { return Activation{true, "always; captures where the command is a Python program"}; });

} // namespace poster
