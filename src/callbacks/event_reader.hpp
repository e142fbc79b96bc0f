#pragma once
// One reader of attempts/N/events/*.jsonl with a cursor of its own: whole lines, in order per writer.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include <poster/event.hpp>

namespace poster {

class EventReader {
public:
    explicit EventReader(std::filesystem::path events_dir) : dir_(std::move(events_dir)) {}

    // Hands on what has been appended since the last call: each event, then all of them as one step. A line that is no
    // JSON object is passed over; a last line without its newline is left for the next call.
    void read(const std::function<void(const Event&)>& on_event, const std::function<void(const Step&)>& on_step);

private:
    std::filesystem::path dir_;
    std::map<std::string, std::uint64_t> cursors_; // file name to bytes read
};

} // namespace poster
