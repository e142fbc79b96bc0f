#pragma once
// attempts/N/metrics.json: of each metric the last, least and greatest value (docs/run-directory.md).

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "metric_line.hpp"

namespace poster {

// Of one metric: of rank 0 or of no rank; of the lowest rank, where rank 0 never logs it.
struct MetricTotal {
    struct Point {
        double value = 0;
        std::optional<std::int64_t> step;
    };
    Point last;
    std::optional<Point> min, max; // none: all were NaN
    double last_time = 0;          // seconds since 1970
    std::uint64_t count = 0;
};

class MetricTotals {
public:
    MetricTotals();
    ~MetricTotals();

    // Lines of one writer in order, those of several in any. `now`: seconds since 1970, for a line without a time.
    void add(const MetricLine& line, std::string_view writer, double now);
    bool empty() const;
    nlohmann::json to_json() const;

private:
    struct Entry;
    Entry& entry_of(std::string_view name, std::size_t place);

    std::unordered_map<std::string, std::unique_ptr<Entry>> entries_;
    std::vector<Entry*> usual_; // what stood at each place of the line before: most lines have the same names
};

// Of the attempts of a run together: the last values are the newest attempt's. An empty object: nothing was logged.
nlohmann::json metrics_of_run(const std::filesystem::path& run_dir);
// A number, or one of the words "NaN", "Infinity" and "-Infinity".
nlohmann::json json_of_number(double value);
std::optional<double> number_of_json(const nlohmann::json& value);

} // namespace poster
