#pragma once
// output.log (the bytes the child wrote, in order of arrival) and output.idx (which came when, on which stream: one
// JSON array [t_ms, offset, length, stream] per line; adjacent chunks of one stream within 100 ms share a line). A full
// disk stops the log, never the child: one warning, a note in the outcome, another try every 10 s.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <fd.hpp>

#include "decide.hpp"

namespace poster {

enum class Stream { out = 1, err = 2, both = 3 };

class OutputLog {
public:
    // Throws Error where the files cannot be made.
    OutputLog(const std::filesystem::path& attempt_dir, MonoTime started);
    ~OutputLog();
    OutputLog(const OutputLog&) = delete;
    OutputLog& operator=(const OutputLog&) = delete;

    void append(Stream stream, std::string_view bytes, MonoTime now);
    // Writes an index line that has waited long enough; returns when the next one is due.
    std::optional<MonoTime> flush_if_due(MonoTime now);
    void close();
    bool truncated() const { return truncated_; }
    const std::string& tail() const { return tail_; } // the last bytes of stderr (or of both), for tracebacks

private:
    void flush();
    void fail(const char* what, int error, MonoTime now);
    void remember(Stream stream, std::string_view bytes);

    struct Chunk {
        MonoTime first{};
        std::uint64_t offset = 0, length = 0;
        Stream stream = Stream::out;
    };
    Fd log_, index_;
    MonoTime started_;
    std::uint64_t offset_ = 0;
    std::optional<Chunk> open_;
    std::optional<MonoTime> retry_at_;
    bool truncated_ = false, index_torn_ = false;
    std::string tail_;
};

} // namespace poster
