#pragma once
// What the index knows of a run, read from a line of a feed or from the run's directory.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "run_values.hpp"

namespace poster {

namespace fs = std::filesystem;

// A row on its way into the table. Times in ms since 1970; `argv` and `tags` as JSON.
struct IndexEntry {
    std::string id, name, tags, note, group, parent, host, cwd, argv, status, signal, reason;
    std::int64_t attempt = 0;
    std::optional<std::int64_t> started_at, ended_at, exit_code;
    std::optional<double> duration_s;
    std::optional<RunValues> values; // where they are final; with an empty status: all that is told

    // At the same attempt a later state follows an earlier one, never the other way round.
    std::int64_t rank() const { return status == "queued" ? 0 : status == "running" ? 1 : 2; }
};

// nullopt: not an announcement of a run.
std::optional<IndexEntry> entry_of_line(std::string_view line);
// nullopt: no readable run.json.
enum class Values { read, leave };
std::optional<IndexEntry> entry_of_directory(const fs::path& run_dir, Values values);

} // namespace poster
