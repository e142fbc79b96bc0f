#pragma once
// Which words of a command line are the interpreter's or a launcher's, which one is the script, and where the words of
// the experiment itself begin.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace poster {

struct CommandWords {
    std::size_t first_own = 0;         // index of the experiment's first own word; argv's size where there is none
    std::optional<std::size_t> script; // index of the script's file, or of the module's name
    bool is_module = false;            // python -m NAME
    bool is_python = false;            // an interpreter of Python is named, or a launcher of Python programs
};

CommandWords find_own_words(const std::vector<std::string>& argv);

// The file that Python will run: the script, the module's file below the working directory, a folder's __main__.py, or
// the program itself where its first line names Python. nullopt: it cannot be told from here.
std::optional<std::filesystem::path> python_entry(const std::vector<std::string>& argv,
                                                  const std::filesystem::path& cwd);

} // namespace poster
