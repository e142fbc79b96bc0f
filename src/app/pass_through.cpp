#include "pass_through.hpp"

#include <unistd.h>

#include <cstdlib>
#include <vector>

#include <command_words.hpp>
#include <hydra_override.hpp>
#include <python_imports.hpp>
#include <subprocess.hpp>

namespace poster {

bool runs_nothing(const RunSpec& spec) {
    const std::size_t first = find_own_words(spec.argv).first_own;
    const HydraWords words = read_hydra_words({spec.argv.begin() + std::ptrdiff_t(first), spec.argv.end()});
    if (!words.runs_nothing) return false;
    const auto entry = python_entry(spec.argv, spec.cwd);
    return entry && python_imports(*entry, spec.cwd).hydra_main;
}

void pass_through(const RunSpec& spec) {
    const auto program = find_program(spec.argv.front(), spec.cwd);
    if (!program || (!spec.cwd.empty() && ::chdir(spec.cwd.c_str()) != 0)) return;
    for (const auto& [name, value] : spec.environment) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> argv;
    for (const auto& word : spec.argv) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execv(program->c_str(), argv.data());
}

} // namespace poster
