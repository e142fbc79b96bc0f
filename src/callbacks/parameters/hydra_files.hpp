#pragma once
// What Hydra writes into the output directory of a job: .hydra/config.yaml, overrides.yaml and hydra.yaml.

#include <filesystem>
#include <optional>

#include <nlohmann/json_fwd.hpp>
#include <poster/run.hpp>

namespace poster {

// The folder with the three files in an output directory, whatever hydra.output_subdir calls it.
std::optional<std::filesystem::path> hydra_folder(const std::filesystem::path& output_dir);

// The section `config` of run.json by these files alone, for a program that no hook could look into: those that were
// written since the start below `outputs`, `multirun` or the folder that the command line names, for a job with the
// overrides of this command line. Of interpolations only ${names} are resolved. null: none were found.
// `is_hydra`: the script is known to use Hydra; else overrides must bear it out.
nlohmann::json config_from_hydra_files(const Run& run, bool is_hydra);

// Copies the files of each job of `section` to RUN/config/attempt-N/, those of a sweep to a folder a job. The next
// attempt may overwrite the originals.
void keep_hydra_files(const Run& run, const nlohmann::json& section, const class Redactor& redactor);

} // namespace poster
