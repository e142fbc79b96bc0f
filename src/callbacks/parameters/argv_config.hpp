#pragma once
// A guess at an experiment's parameters from its command line alone. What is a flag and what takes the next word only
// the program knows: argv stays the truth, this is a view of it.

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poster {

// {"source": "argv-guess", "rung": "argv", "values": {name: typed value, …}, "positionals": […], "overrides":
// ["lr=0.1", …]}
//   --k=v, --k v (v not beginning with '-', or a number), --flag → true, -vv → 2, -n 5, k=v and Hydra's +k=v, ++k=v,
//   ~k. A repeated name becomes a list; `--` ends the options. Values: integers, floats, true/false, null/none, else
//   strings.
// The program is left out, and with an interpreter (python, bash, torchrun …) its own options and the script.
nlohmann::json config_from_argv(const std::vector<std::string>& argv);
nlohmann::json typed_value(const std::string& text);

} // namespace poster
