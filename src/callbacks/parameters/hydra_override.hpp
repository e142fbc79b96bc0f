#pragma once
// Hydra's overrides and command lines, as its own grammar reads them (OverrideLexer.g4 and OverrideParser.g4 of Hydra
// 1.3, and its argparse options). Values are left as they stand: only Hydra itself understands them.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poster {

struct HydraOverride {
    enum class Kind { change, add, force_add, remove }; // k=v, +k=v, ++k=v, ~k

    Kind kind = Kind::change;
    std::string path;                 // "model.lr", "db", "hydra/launcher"
    std::string package;              // of "db@backup"; empty: none
    std::optional<std::string> value; // of a removal it may be missing

    std::string key() const { return package.empty() ? path : path + '@' + package; }
};

// nullopt: no override. Whether the value is well-formed is not looked at.
std::optional<HydraOverride> parse_hydra_override(std::string_view word);

// The words of a Hydra program, without the interpreter and the script.
struct HydraWords {
    std::vector<std::size_t> overrides; // indices; Hydra wants them to stand side by side
    std::size_t insert_at = 0;          // where another override may be put in front of them
    bool is_multirun = false;           // -m
    bool runs_nothing = false;          // --help, --cfg, --info …: it prints something and ends
};
HydraWords read_hydra_words(const std::vector<std::string>& words);

// What [hydra] own_dir adds to a command line; Hydra resolves it in the child.
inline constexpr std::string_view kOwnRunDir = "hydra.run.dir=${oc.env:POSTER_RUN_DIR}/hydra";
inline constexpr std::string_view kOwnSweepDir = "hydra.sweep.dir=${oc.env:POSTER_RUN_DIR}/hydra";

// Adds `extra` to the command line of a Hydra program, whose own words begin at `first_own`. An override takes the
// place of the older one of its key; where both must stay for Hydra to accept them (`~db +db=x`) it follows the older
// ones. The overrides stay side by side. Options such as -cn take the place of the same option.
std::vector<std::string> merge_hydra_words(std::vector<std::string> argv, std::size_t first_own,
                                           const std::vector<std::string>& extra);

} // namespace poster
