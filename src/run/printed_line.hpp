#pragma once
// The metrics that one printed line reports, with what it says of the progress.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "printed_tokens.hpp"

namespace poster {

// How far a bar or "[10/5005]" has got.
struct PrintedCounter {
    double value = 0;
    double total = 0;       // 0: unknown
    bool evaluates = false; // it counts through a validation or test set: its count is no step
    std::string bar;        // what stands before it, without digits: tells one bar from another
};

struct PrintedLine {
    std::vector<std::pair<std::string, double>> values;
    std::optional<std::int64_t> step;
    std::optional<double> epoch;
    std::optional<PrintedCounter> counter;

    bool progress() const { return step || epoch || counter; }
};

// A name with a number that may be a metric.
struct PrintedCandidate {
    // A name and a number side by side: `alone` where separators stand around the two ("| loss 0.3 |").
    enum class Form { separated, beside, alone };
    std::string name;
    double value = 0;
    Form form = Form::separated;
    bool pointed = false; // a point, an exponent or a percent sign
    bool loose = false;   // ":22.04" without a blank, or more words behind it: only a name that is a metric anywhere
};

// Moves those that are metrics into line.values. `words`: how many names had a word for a value, as in a print of
// settings.
void accept_metrics(std::vector<PrintedCandidate>& candidates, int words, PrintedLine& line);

// Reads lines; keeps its memory between them.
class PrintedLineReader {
public:
    PrintedLine& read(std::string_view text);
    const std::vector<PrintedToken>& tokens() const { return tokens_; } // of the line read last, up to its object

private:
    std::vector<PrintedToken> tokens_;
    std::vector<PrintedCandidate> candidates_;
    PrintedLine line_;
};

} // namespace poster
