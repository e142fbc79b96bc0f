#pragma once
// The log of a W&B run, run-ID.wandb: the framing of LevelDB's logs around protocol buffers. What poster has use for is
// read: the run, its parameters, history, summary and exit.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fd.hpp>

namespace poster {

struct WandbItem {
    std::vector<std::string> path; // a key, and the keys within its value
    std::string json;              // the value; may be a bare NaN, Infinity or -Infinity
};

struct WandbRecord {
    enum class Kind { other, history, summary, config, run, exit } kind = Kind::other;
    std::vector<WandbItem> items; // of a run: its parameters
    std::optional<std::int64_t> step;
    // Of a run.
    std::string id, entity, project, name, group;
    double started_at = 0; // seconds since 1970; 0: not told
    std::optional<int> exit_code;
};

WandbRecord parse_wandb_record(std::string_view message); // of anything: what there is to be read of it

// One log from an offset on, while it is being written.
class WandbLogReader {
public:
    // Throws Error.
    WandbLogReader(const std::filesystem::path& path, std::uint64_t offset);

    // The next whole record. nullopt: none yet.
    std::optional<WandbRecord> next();
    std::uint64_t offset() const { return offset_; } // behind the last record

private:
    enum class Chunk { none, whole, first, middle, last, damaged };
    Chunk read_chunk(std::uint64_t& at, std::string_view& content);
    std::string_view block_at(std::uint64_t number);

    Fd file_;
    std::uint64_t offset_;
    std::uint64_t block_number_ = 0;
    std::string block_;
    bool is_log_ = true;
};

} // namespace poster
