#pragma once
// Lines with a JSON object or a Python dictionary: {"loss": 0.3}, {'loss': np.float64(0.5), 'epoch': 1.0}.

#include <string_view>
#include <vector>

#include "printed_line.hpp"

namespace poster {

// Where the object begins in the line; npos: there is none.
std::size_t find_dictionary(std::string_view text);

// Reads the object that `text` begins with: numbers become candidates (nested ones as "train/loss"), step and epoch go
// into the line. False where it is cut off or no object. `words`: how many values are words.
bool read_dictionary(std::string_view text, std::vector<PrintedCandidate>& candidates, int& words, PrintedLine& line);

} // namespace poster
