#pragma once
// What the child or poster appended to the event log (docs/events.md).

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <poster/run.hpp>

namespace poster {

// One line of events/*.jsonl. Lives only during the call: copy what is to stay.
class Event {
public:
    Event(std::string_view line, std::string_view writer);

    // Of a line that begins as docs/events.md asks; nullopt: only the parsed line tells.
    static std::optional<std::string_view> kind_at_front(std::string_view line);

    std::string_view kind() const { return kind_; } // metric, message, image, file, config, capture, summary, notify …
    std::string_view writer() const { return writer_; } // the file it stands in, without its ending: HOST.PID
    std::string_view line() const { return line_; }     // without the newline
    // The whole line, parsed at the first call; an empty object where it is no JSON object, or one too deep to be
    // handled.
    const nlohmann::json& data() const;
    WallTime time() const; // now, where the line tells none

private:
    std::string_view line_, writer_;
    std::string kind_;
    mutable std::shared_ptr<nlohmann::json> data_;
};

// The events that were logged since the previous step, in order per writer.
struct Step {
    const std::vector<Event>& events;
};

} // namespace poster
