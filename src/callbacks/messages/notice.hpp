#pragma once
// What a message about a run says. Its facts are JSON, collected when it is queued; what becomes of them here is a pure
// function, and the same at each delivery.
//
//   kind         start, end, metric, message, stalled, notify, image, summary, test
//   id, name, group, attempt, host, command, place (the run directory), copies [where copies go]
//   status, reason, duration_s, error           of an end
//   metrics {NAME: {value, step}}, more_metrics  their last values; how many more there are
//   lines [text], lines_of: stderr or output     the last that it printed
//   text                                        of a message or a notify
//   level, left_out                             of a message; how many before it were not sent
//   condition                                   of a metric
//   silent_s                                    of stalled
//   image {path, name, step, caption}           path is below the run directory
//   runs [{id, name, status, reason, duration_s}], tags of a summary

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poster {

struct Notice {
    struct Row {
        std::string label, value;
        bool is_code = false;
        bool operator==(const Row&) const = default;
    };
    std::string mark;  // an emoji that says on a phone what it is about
    std::string title; // one line
    std::string text;  // paragraphs
    std::vector<Row> rows;
    std::string lines_title;
    std::vector<std::string> lines; // as a terminal shows them
    std::string footnote;
};

Notice notice_of(const nlohmann::json& facts);

// With the mark: "❌ base-1: failed with exit code 3 after 4.2s".
std::string headline(const Notice& notice);
std::string as_text(const Notice& notice);          // of a mail
std::string as_html(const Notice& notice);          // of a mail: a whole document
std::string as_telegram_html(const Notice& notice); // the tags that the Bot API knows
// & < > as HTML wants them.
std::string html_escape(std::string_view text);

} // namespace poster
