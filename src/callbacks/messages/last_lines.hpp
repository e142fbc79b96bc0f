#pragma once
// The last lines that an attempt printed, as a terminal shows them in the end.

#include <filesystem>
#include <string>
#include <vector>

#include <redact.hpp>

namespace poster {

struct LastLines {
    bool of_stderr = false; // false: of all output
    std::vector<std::string> lines;
};

// Those of stderr where `prefer_stderr` and it has any among the newest output, else of all output; without blank lines
// at the end. Of each line no more than a person reads. What is secret is redacted in the whole of it: a private key
// has many lines, and it is the first that tells.
LastLines last_lines(const std::filesystem::path& attempt_dir, std::size_t most, bool prefer_stderr,
                     const Redactor& redactor);

} // namespace poster
