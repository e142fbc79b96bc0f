#pragma once
// Paths below the root of a remote. They come from run directories and from manifests that somebody else may have
// written, and never lead out of the root.

#include <string>
#include <string_view>
#include <vector>

namespace poster {

// The parts of "runs/ID/files/model.pt". Throws Error for what could mean a place elsewhere, or none: an absolute path,
// an empty part, "." and "..", a NUL.
std::vector<std::string> remote_path_parts(std::string_view path);

// The name of a file that is not yet whole, beside the one it will be. The same for the same word.
std::string part_name(std::string_view word);
// Another one each time; those of the same word begin with the same.
std::string fresh_part_name(std::string_view word);
std::string beginning_of_fresh_part_names(std::string_view word);
bool is_part_name(std::string_view name);

} // namespace poster
