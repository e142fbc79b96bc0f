#pragma once
// The metrics of a run as series, read from what all writers of all its attempts logged (events/*.jsonl).
//
// Points stand in order of their step; those of one step in order of time. Where a metric is logged without steps, its
// points stand in order of time. An attempt that takes a run up again replaces, of each metric, what earlier attempts
// logged from its own first step on. Several points of one writer at one step all stay.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace poster {

inline constexpr std::int64_t kNoStep = std::numeric_limits<std::int64_t>::min();

struct Point {
    std::int64_t step = kNoStep;
    double time = 0, epoch = 0; // NaN: not told; time: seconds since 1970
    double value = 0;           // may be NaN or infinite
};

struct Series {
    std::string name;  // of the metric
    std::string label; // the name; with the rank, "loss@1", where each rank is a series of its own
    std::vector<Point> points;
};

struct SeriesQuery {
    std::vector<std::string> names{}; // globs; none: all
    // "0": of rank 0 and of no rank, and of the lowest rank where there is neither; another number: of this rank;
    // "all": each rank is a series of its own
    std::string rank = "0";
    std::optional<int> attempt{}; // only this one
};

struct RunMetrics {
    std::vector<Series> series;     // in order of the query's names, then of names and ranks
    std::vector<std::string> names; // of every metric of the run, sorted
};

RunMetrics read_metrics(const std::filesystem::path& run_dir, const SeriesQuery& query);

// Is one of the names the pattern, or like it?
bool matches_any(const std::string& pattern, const std::vector<std::string>& names);
// Is the name one of the patterns, or like it?
bool matches_one_of(const std::vector<std::string>& patterns, const std::string& name);

// The names of a run's metrics as far as they are found quickly: from the summaries and the beginnings of the files.
std::vector<std::string> some_metric_names(const std::filesystem::path& run_dir);

struct Extreme {
    double value = 0;
    std::int64_t step = kNoStep;
};
struct Summary {
    Extreme last, min, max; // min and max: NaN where every value is
    double last_time = 0;
    std::size_t count = 0;
};
Summary summary_of(const std::vector<Point>& points);

// The points of a later attempt behind those of earlier ones; each is in order.
void take_up(std::vector<Point>& earlier, std::vector<Point> later);
void put_in_order(std::vector<Point>& points);

} // namespace poster
