#pragma once
// The event log of an attempt (docs/events.md), read by its whole lines.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

namespace poster {

// ATTEMPT/events/*.jsonl, sorted by name.
std::vector<std::filesystem::path> event_files(const std::filesystem::path& attempt_dir);

// Each whole line, without its newline, that begins at `begin` or behind it and before `end` (bytes); reads in large
// blocks. Nothing where there is no such file.
void for_each_line(const std::filesystem::path& file, std::uint64_t begin, std::uint64_t end,
                   const std::function<void(std::string_view)>& take);

} // namespace poster
