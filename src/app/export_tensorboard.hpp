#pragma once
// `poster export --tensorboard DIR`: event files that TensorBoard opens, a folder per run.

#include <filesystem>
#include <string>
#include <vector>

#include <index.hpp>

namespace poster {

// `metrics`: globs, none: all of them (read_metrics() in series.hpp has them in order). `row.dir` is the run directory.
// Throws Error.
void export_tensorboard(const std::vector<RunRow>& runs, const std::vector<std::string>& metrics,
                        const std::filesystem::path& dir);

} // namespace poster
