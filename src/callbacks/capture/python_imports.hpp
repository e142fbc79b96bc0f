#pragma once
// What a Python program uses, read from its text: the entry file and the modules that it imports from beside it.
// Nothing is run. A library that only an installed package imports is not seen.

#include <filesystem>
#include <functional>
#include <set>
#include <string>

namespace poster {

struct PythonImports {
    bool hydra = false;      // hydra or hydra_zen is imported
    bool hydra_main = false; // and the command line is Hydra's: @hydra.main, zen(…).hydra_main(…)
    bool fire = false;
    std::set<std::string, std::less<>> parameters; // names that its functions take, where it uses Fire
};

// `root`: where absolute imports begin, besides the entry's own folder. Reads at most 60 files of at most 1 MB.
PythonImports python_imports(const std::filesystem::path& entry, const std::filesystem::path& root);

} // namespace poster
