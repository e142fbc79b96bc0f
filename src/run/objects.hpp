#pragma once
// Content that several runs of a store share: kept once under STORE/objects/SHA256, hard-linked into each run
// directory.

#include <filesystem>
#include <string_view>

namespace poster {

// Makes `path` a hard link to the object of this content, creating the object when it is new;
// a plain file where the file system has no hard links. 0600. What
// stood there before, of an earlier attempt, is replaced. Throws Error.
void store_object(const std::filesystem::path& store, std::string_view content, const std::filesystem::path& path);

} // namespace poster
