#pragma once
// Command lines that run no experiment: `app.py --help`, `--cfg job`, `--info` … of a program whose command line is
// Hydra's. They print something and end.

#include <poster/run.hpp>

namespace poster {

// Told from the words and the text of the script; where that is not certain, false. The script is read only where such
// a word is there.
bool runs_nothing(const RunSpec& spec);
// Becomes the command, as if poster had not been called. Returns where that fails.
void pass_through(const RunSpec& spec);

} // namespace poster
