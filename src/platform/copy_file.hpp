#pragma once
// Copies of files and folders: by a clone where the file system shares blocks, else inside the kernel, else through
// memory. Made beside the target and renamed, so that nobody sees half of one; 0600 and 0700.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace poster {

struct Copied {
    std::uint64_t bytes = 0;
    std::size_t files = 0;
};

// What stands at `to` is replaced, unless it is `from` itself: then nothing is done. The folders above `to` are made.
// Throws Error.
Copied clone_file(const std::filesystem::path& from, const std::filesystem::path& to);
// To the first free name of BASE.ENDING, BASE-1.ENDING, BASE-2.ENDING …, which is returned. Throws Error.
std::filesystem::path clone_file_as_new(const std::filesystem::path& from, const std::filesystem::path& base,
                                        const std::string& ending);
// A link that stays within the folder is copied as a link, one to a file elsewhere as that file. What is neither file
// nor folder, and links to folders elsewhere, are left out and listed. Throws Error.
Copied clone_folder(const std::filesystem::path& from, const std::filesystem::path& to,
                    std::vector<std::filesystem::path>& left_out);

} // namespace poster
