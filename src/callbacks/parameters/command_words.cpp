#include "command_words.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include <files.hpp>
#include <subprocess.hpp>

namespace poster {

namespace {

using std::string_view;
using Argv = std::vector<std::string>;

enum class Kind {
    interpreter,     // its first word that is no option is the script
    python_launcher, // torchrun, uv run …: what ends in .py or follows -m is the script
    wrapper,         // nice, srun …: the interpreter comes later
};

struct Program {
    string_view name;
    string_view value_options; // of its own options, those that take a value
    Kind kind = Kind::interpreter;
};

constexpr std::array kPrograms{
    Program{"python", "WXcm"},
    Program{"pypy", "WXcm"},
    Program{"bash", "cO"},
    Program{"sh", "c"},
    Program{"zsh", "c"},
    Program{"node", "re"},
    Program{"Rscript", "e"},
    Program{"julia", "e"},
    Program{"perl", "e"},
    Program{"ruby", "e"},
    Program{"torchrun", "", Kind::python_launcher},
    Program{"accelerate", "", Kind::python_launcher},
    Program{"deepspeed", "", Kind::python_launcher},
    Program{"uv", "", Kind::python_launcher},
    Program{"poetry", "", Kind::python_launcher},
    Program{"pipenv", "", Kind::python_launcher},
    Program{"pdm", "", Kind::python_launcher},
    Program{"hatch", "", Kind::python_launcher},
    Program{"conda", "", Kind::wrapper},
    Program{"mamba", "", Kind::wrapper},
    Program{"micromamba", "", Kind::wrapper},
    Program{"srun", "", Kind::wrapper},
    Program{"mpirun", "", Kind::wrapper},
    Program{"mpiexec", "", Kind::wrapper},
    Program{"env", "", Kind::wrapper},
    Program{"nohup", "", Kind::wrapper},
    Program{"nice", "", Kind::wrapper},
    Program{"ionice", "", Kind::wrapper},
    Program{"time", "", Kind::wrapper},
    Program{"timeout", "", Kind::wrapper},
    Program{"stdbuf", "", Kind::wrapper},
    Program{"setsid", "", Kind::wrapper},
    Program{"taskset", "", Kind::wrapper},
    Program{"numactl", "", Kind::wrapper},
    Program{"xvfb-run", "", Kind::wrapper},
};

bool is_python_name(string_view name) {
    for (string_view known : {"python", "pypy"})
        if (name.starts_with(known) && name.find_first_not_of("0123456789.", known.size()) == string_view::npos)
            return true;
    return false;
}

bool names_python(const std::string& word) {
    return is_python_name(std::filesystem::path(word).filename().native());
}

const Program* program_of(const std::string& word) {
    const std::string name = std::filesystem::path(word).filename();
    for (const auto& known : kPrograms)
        if (name == known.name || (is_python_name(name) && is_python_name(known.name))) return &known;
    return nullptr;
}

bool is_script(const std::string& word) {
    return word.ends_with(".py") && !word.starts_with('-');
}

CommandWords after_interpreter(const Argv& argv, std::size_t at, const Program& program) {
    CommandWords found;
    found.is_python = is_python_name(program.name);
    for (std::size_t i = at + 1; i < argv.size(); ++i) {
        const std::string& word = argv[i];
        if (word == "-c" || word == "-m" || word == "-e") {
            found.first_own = std::min(i + 2, argv.size());
            found.is_module = word == "-m" && found.is_python;
            if (found.is_module && i + 1 < argv.size()) found.script = i + 1;
            return found;
        }
        if (word.size() < 2 || word.front() != '-') { // the script
            found.script = i;
            found.first_own = i + 1;
            return found;
        }
        // -um pkg.train
        const bool module = found.is_python && word.front() == '-' && word[1] != '-' && word.back() == 'm';
        if (module && word.find_first_of("WXc") == std::string::npos && i + 1 < argv.size()) {
            found.is_module = true;
            found.script = i + 1;
            found.first_own = i + 2;
            return found;
        }
        if (word.size() == 2 && program.value_options.find(word[1]) != string_view::npos) ++i;
    }
    found.first_own = argv.size();
    return found;
}

std::optional<CommandWords> after_python_launcher(const Argv& argv) {
    CommandWords found;
    found.is_python = true;
    for (std::size_t i = 1; i < argv.size(); ++i) {
        const bool module = argv[i] == "-m" || argv[i] == "--module";
        if (!module && !is_script(argv[i])) continue;
        found.is_module = module;
        const std::size_t script = module ? i + 1 : i;
        if (script < argv.size()) found.script = script;
        found.first_own = std::min(script + 1, argv.size());
        return found;
    }
    return std::nullopt;
}

std::optional<std::filesystem::path> regular(const std::filesystem::path& path) {
    std::error_code failure;
    return std::filesystem::is_regular_file(path, failure) ? std::optional(path) : std::nullopt;
}

std::optional<std::filesystem::path> module_file(const std::filesystem::path& cwd, std::string name) {
    std::replace(name.begin(), name.end(), '.', '/');
    if (auto file = regular(cwd / (name + ".py"))) return file;
    return regular(cwd / name / "__main__.py");
}

// Of the program itself: #!/usr/bin/env python3
bool begins_with_python(const std::filesystem::path& program) {
    constexpr std::size_t kMost = 256;
    Fd fd(::open(program.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, kMost> head{};
    const ssize_t n = fd ? ::read(fd.get(), head.data(), head.size()) : 0;
    const string_view text(head.data(), n > 0 ? std::size_t(n) : 0);
    return text.starts_with("#!") && text.substr(0, text.find('\n')).find("python") != string_view::npos;
}

} // namespace

CommandWords find_own_words(const Argv& argv) {
    const Program* program = argv.empty() ? nullptr : program_of(argv.front());
    CommandWords plain;
    plain.first_own = std::min<std::size_t>(1, argv.size());
    if (program == nullptr) return plain;
    if (program->kind == Kind::interpreter) return after_interpreter(argv, 0, *program);
    for (std::size_t i = 1; i < argv.size(); ++i)
        if (names_python(argv[i])) return after_interpreter(argv, i, *program_of(argv[i]));
    if (program->kind == Kind::python_launcher)
        if (auto found = after_python_launcher(argv)) return *found;
    return program->kind == Kind::wrapper ? plain : after_interpreter(argv, 0, *program);
}

std::optional<std::filesystem::path> python_entry(const Argv& argv, const std::filesystem::path& cwd) {
    if (argv.empty()) return std::nullopt;
    const CommandWords words = find_own_words(argv);
    if (!words.script) {
        auto program = find_program(argv.front(), cwd);
        return program && begins_with_python(*program) ? program : std::nullopt;
    }
    if (!words.is_python) return std::nullopt;
    if (words.is_module) return module_file(cwd, argv[*words.script]);
    const std::filesystem::path script = cwd / argv[*words.script];
    if (auto file = regular(script)) return file;
    return regular(script / "__main__.py");
}

} // namespace poster
