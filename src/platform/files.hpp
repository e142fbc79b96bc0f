#pragma once
// Files as the run directory wants them: read whole, replaced atomically, or appended to in whole lines; 0600 and 0700.

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "fd.hpp"

namespace poster {

namespace fs = std::filesystem;

enum class Durability { page_cache, disk };

std::optional<std::string> read_file(const fs::path& path);                    // nullopt: not there or unreadable
std::optional<std::string> read_tail(const fs::path& path, std::size_t bytes); // at most that much from the end
// Write to a temporary file beside it, then rename. Throws Error.
void replace_file(const fs::path& path, std::string_view content, Durability durability = Durability::page_cache);
// True for the one process, of all hosts, that makes this file; it is seen whole, or not at all, where the file system
// has hard links. False: another has made it. Throws Error.
bool create_alone(const fs::path& path, std::string_view content);
// One write of `line` plus "\n" with O_APPEND; mends a half line left by a crash first. Throws Error.
void append_line(const fs::path& path, std::string_view line, Durability durability = Durability::page_cache);
void make_directories(const fs::path& path);    // 0700; throws Error
Fd open_append(const fs::path& path);           // O_APPEND|O_CREAT|O_CLOEXEC, 0600; throws Error
bool write_all(int fd, std::string_view bytes); // false with errno set on failure; retries EINTR and short writes
std::int64_t modified_ns(const struct stat& facts);
// Opens a regular file for reading; follows no link, in no part of its path where the kernel can be told so. None, and
// errno says why: ELOOP for a link, EINVAL for what is no regular file.
Fd open_regular(const fs::path& path);
// The same place by a path without links; as it is where that cannot be told.
fs::path resolved(const fs::path& path);

void set_to_null(std::initializer_list<int> fds); // /dev/null, to read and to write

// The user's own folder of poster: $VARIABLE/poster, by default ~/below_home/poster; empty where there is no home.
fs::path user_directory(const char* variable, const char* below_home);

// True where flock and mmap cannot be trusted between hosts: NFS, Lustre, GPFS, BeeGFS, CIFS, FUSE …
// POSTER_ASSUME_SHARED=1 makes every file system count as shared.
bool on_shared_file_system(const fs::path& path);
std::string file_system_name(const fs::path& path); // "ext4", "nfs" …, else the magic number in hex
std::optional<std::uint64_t> free_bytes(const fs::path& path);

} // namespace poster
