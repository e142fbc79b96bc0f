#pragma once
// TensorBoard's event files: records of a length, the event as a protocol buffer, and checksums of both. Scalars and
// images are read and written; histograms, texts, graphs and audio are passed over.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fd.hpp>

namespace poster {

struct TfScalar {
    std::string tag;
    double value = 0;
    bool single = true; // it was a float32: as many digits as that has mean something
};

struct TfImage {
    std::string tag;
    int width = 0, height = 0;
    std::string bytes; // PNG, sometimes JPEG or GIF
};

struct TfEvent {
    double time = 0; // seconds since 1970
    std::int64_t step = 0;
    std::string version; // of the format: "brain.Event:2"; of the first event only
    std::vector<TfScalar> scalars;
    std::vector<TfImage> images;
};

TfEvent parse_tf_event(std::string_view message); // of anything: what there is to be read of it
std::string tf_event_message(const TfEvent& event);
std::string tf_record(std::string_view message);

// One event file from an offset on, while it is being written.
class TfEventReader {
public:
    // Throws Error.
    TfEventReader(const std::filesystem::path& path, std::uint64_t offset);

    // The next whole event. nullopt: none yet, or the file is damaged from here on.
    std::optional<TfEvent> next();
    std::uint64_t offset() const { return offset_; } // behind the last event
    bool damaged() const { return damaged_; }        // waiting for more is no use

private:
    std::string_view available(std::size_t bytes);
    bool is_header(std::string_view bytes) const;

    Fd file_;
    std::uint64_t offset_;
    std::uint64_t buffered_at_ = 0;
    std::string buffer_;
    bool damaged_ = false;
};

} // namespace poster
