#pragma once
// One reader of attempts/N/events/*.jsonl with a cursor of its own: whole lines, in order per writer. It may ask twenty
// times a second: while nothing is appended that costs a stat per file, and no more than kStepBytes are in memory.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <poster/event.hpp>

namespace poster {

class EventReader {
public:
    static constexpr std::size_t kStepBytes = 256 << 10;
    static constexpr std::size_t kLongestLine = 16 << 20; // a longer one is passed over

    // `if_changed` trusts sizes and the directory's time of change, which another node's writers may change late.
    enum class Look { if_changed, everywhere };

    struct Visitor {
        std::function<bool(std::string_view kind)> wants;
        std::function<void(const Event&)> on_event;
        std::function<void(const Step&)> on_step; // after its events
    };

    explicit EventReader(std::filesystem::path events_dir) : dir_(std::move(events_dir)) {}

    // Hands on what has been appended since the last call, at most one step of it. A line that is no JSON object is
    // passed over; a last line without its newline is left for later. True: there is more to be read at once.
    bool read(const Visitor& visitor, Look look = Look::if_changed);
    // Until there is no more.
    void read_all(const Visitor& visitor);

private:
    struct File {
        std::string name;
        std::uint64_t cursor = 0;  // read up to here
        std::uint64_t seen = 0;    // its size when there was no more to be read
        bool in_long_line = false; // the rest of it is passed over
    };
    struct Part { // of the buffer
        const File* file;
        std::size_t begin, end;
    };

    void list_files(Look look);
    bool fill(Look look, std::vector<Part>& parts);
    bool append_lines(File& file, Look look);
    void skip_long_line(File& file, std::size_t begin);
    void visit(const Visitor& visitor, const std::vector<Part>& parts) const;

    std::filesystem::path dir_;
    std::vector<File> files_; // by name
    std::size_t first_ = 0;   // the file to begin with: none may keep the others from being read
    std::string buffer_;
    std::int64_t listed_change_ = -1; // the directory's time of change, ns
    std::chrono::steady_clock::time_point list_until_{}, list_again_{};
};

} // namespace poster
