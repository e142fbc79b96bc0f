#pragma once
// What the child or poster appended to the event log (docs/run-directory.md).

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <poster/run.hpp>

namespace poster {

// One line of events/HOST.PID.jsonl. `data` lives only during the call.
struct Event {
    std::string kind;   // metric, message, image, file, config, hardware …
    std::string writer; // the file it stands in, without its ending: HOST.PID
    WallTime time{};
    const nlohmann::json& data; // the whole line
};

// The events that were logged since the previous step, in order per writer.
struct Step {
    const std::vector<Event>& events;
};

} // namespace poster
