#pragma once
// From what a program prints to its metrics: lines of "step 40 | loss 0.3", progress bars of tqdm, Keras and Lightning,
// JSON objects and Python dictionaries, tables, and the user's own patterns (docs/callbacks/printed.md).
//
// A program's output is no promise: a number is taken only where line and name both look like a report on a training.
// A bar gives a hundred points at most, and its last state. Time is linear in the input, memory is bounded.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "metric_patterns.hpp"
#include "printed_line.hpp"
#include "printed_states.hpp"
#include "printed_tables.hpp"

namespace poster {

struct PrintedPoint {
    std::int64_t time_ms = 0; // as given to feed(), of the line's last byte
    std::optional<std::int64_t> step;
    std::optional<double> epoch;
    std::vector<std::pair<std::string, double>> values;
    std::string line; // where it stood
};

// One stream of output. What it hands on depends on the bytes alone, not on how they are cut into pieces.
class PrintedMetrics {
public:
    using Sink = std::function<void(const PrintedPoint&)>;
    PrintedMetrics(std::shared_ptr<const MetricPatterns> patterns, Sink sink);
    PrintedMetrics(const PrintedMetrics&) = delete;
    PrintedMetrics& operator=(const PrintedMetrics&) = delete;

    void feed(std::string_view bytes, std::int64_t time_ms) { states_.feed(bytes, time_ms); }
    void finish(); // the last line, and the last states of bars

private:
    struct Bar {
        double offset = 0; // steps of its earlier rounds
        double last = 0;   // the counter when it was last seen
        double total = 0;
        double emitted = -1; // … when it last gave a point
        std::optional<double> epoch;
        std::vector<std::pair<std::string, double>> values; // of that point
        std::optional<PrintedPoint> held;                   // seen since, not handed on
    };

    void take(const PrintedStates::State& state);
    void take_bar(const PrintedCounter& counter, PrintedPoint point, bool final);
    void emit(const std::string& key, Bar& bar); // what it holds

    std::shared_ptr<const MetricPatterns> patterns_;
    Sink sink_;
    PrintedStates states_;
    PrintedLineReader reader_;
    PrintedTables tables_;
    std::optional<double> epoch_; // that a line named last: "Epoch 3/10" above the bars
    std::unordered_map<std::string, Bar> bars_;
    std::unordered_set<std::size_t> seen_; // hashes of the states of bars that were handed on
};

} // namespace poster
