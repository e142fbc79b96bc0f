// Hydra's output goes into the run directory ([hydra] own_dir): an override that Hydra resolves in the child, where
// POSTER_RUN_DIR is known, so that `continue` finds the same folder again.

#include <poster/callback.hpp>

#include "command_words.hpp"
#include "hydra_override.hpp"
#include "python_imports.hpp"

namespace poster {

namespace {

class Hydra : public Callback {
public:
    void on_prepare(RunSpec& spec) override {
        const auto entry = python_entry(spec.argv, spec.cwd);
        if (!entry || !python_imports(*entry, spec.cwd).hydra_main) return;
        const auto first = std::ptrdiff_t(find_own_words(spec.argv).first_own);
        const std::vector<std::string> own(spec.argv.begin() + first, spec.argv.end());
        const HydraWords words = read_hydra_words(own);
        if (words.runs_nothing) return;
        // Which of the two counts, a configuration may say as well; for what the user gives again, the later wins.
        const std::vector<std::string> added{std::string(kOwnRunDir), std::string(kOwnSweepDir)};
        spec.argv.insert(spec.argv.begin() + first + std::ptrdiff_t(words.insert_at), added.begin(), added.end());
    }
};

} // namespace

extern const CallbackEntry hydra_callback;
const CallbackEntry hydra_callback =
    callback_entry<Hydra>("hydra", "the output folder of Hydra in the run directory",
                          {{"hydra.own_dir", OptionType::flag, "false", "Hydra's output goes into the run directory"}},
                          [](const Settings& settings) {
                              const bool on = settings.flag("hydra.own_dir");
                              return Activation{on, on ? "hydra.own_dir" : "hydra.own_dir is false"};
                          });

} // namespace poster
