#pragma once
// The interpreter of a Python command, and the packages it has.

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include <poster/run.hpp>

namespace poster {

struct PythonState {
    nlohmann::json facts; // the section `python` of run.json, without the list itself; `error`: it did not answer
    std::string packages; // a line "name==version" for each, sorted
};

// nullopt: not a Python command. Asks the interpreter, which takes it some 20 ms.
std::optional<PythonState> capture_python(const RunSpec& spec);

} // namespace poster
