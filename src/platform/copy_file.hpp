#pragma once
// Copies of files and folders: by a clone where the file system shares blocks, else inside the kernel, else through
// memory. Made beside the target and renamed, so that nobody sees half of one; 0600 and 0700.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
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

struct OpenFile {
    int fd;
    std::filesystem::path path; // for the error
};

// Not more than `bytes` from the beginning of a file into one that is empty, on descriptors that stand at their
// beginnings. `moved` is told of each piece; with false the copy ends there. Returns how much was copied: less where
// there is less. Throws SystemError.
std::uint64_t copy_beginning(const OpenFile& from, const OpenFile& to, std::uint64_t bytes,
                             const std::function<bool(std::uint64_t)>& moved);

} // namespace poster
