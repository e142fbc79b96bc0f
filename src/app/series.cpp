#include "series.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <deque>
#include <future>
#include <map>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include <metric_line.hpp>
#include <records.hpp>
#include <store.hpp>

#include "event_files.hpp"

namespace poster {

namespace {

namespace fs = std::filesystem;
using Rank = std::optional<std::int64_t>;
using Points = std::vector<Point>;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t kPart = 4 << 20;
constexpr std::size_t kSome = 1 << 16;
constexpr unsigned kMostThreads = 8;

bool matches(const std::string& pattern, const std::string& name) {
    return pattern == name || ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

// The points of some lines, by metric and rank.
class Collector {
public:
    explicit Collector(const SeriesQuery& query) : query_(query) {}

    void take(const MetricLine& line) {
        if (line.rank != rank_) {
            rank_ = line.rank;
            recent_.clear();
        }
        const Point point{line.step.value_or(kNoStep), line.time.value_or(kUnknown), line.epoch.value_or(kUnknown), 0};
        for (std::size_t i = 0; i < line.values.size(); ++i) {
            if (i >= recent_.size() || recent_[i]->first != line.values[i].name) remember(i, line.values[i].name);
            if (!recent_[i]->second.wanted) continue;
            Points& points = recent_[i]->second.points;
            points.push_back(point);
            points.back().value = line.values[i].value;
        }
    }

    struct Found {
        Points points;
        bool wanted = true;
    };
    using ByName = std::map<std::string, Found, std::less<>>;
    std::map<Rank, ByName>& all() { return all_; }

private:
    // Lines of one program name the same metrics in the same order, mostly.
    void remember(std::size_t place, std::string_view name) {
        ByName& metrics = all_[rank_];
        auto found = metrics.find(name);
        if (found == metrics.end()) {
            found = metrics.try_emplace(std::string(name)).first;
            found->second.wanted = query_.names.empty() || matches_one_of(query_.names, found->first);
        }
        recent_.resize(std::max(recent_.size(), place + 1), &*found);
        recent_[place] = &*found;
    }

    const SeriesQuery& query_;
    Rank rank_;
    std::map<Rank, ByName> all_;
    std::vector<ByName::value_type*> recent_;
};

struct Part {
    fs::path file;
    std::uint64_t begin = 0, end = 0;
};

void read_part(const Part& part, Collector& collector) {
    MetricLineParser parser;
    for_each_line(part.file, part.begin, part.end, [&](std::string_view line) {
        if (const MetricLine* metrics = parser.parse(line)) collector.take(*metrics);
    });
}

std::vector<Part> parts_of(const fs::path& attempt_dir) {
    std::vector<Part> parts;
    for (const auto& file : event_files(attempt_dir)) {
        std::error_code failure;
        const std::uint64_t size = fs::file_size(file, failure);
        if (failure) continue;
        for (std::uint64_t begin = 0; begin < size; begin += kPart)
            parts.push_back({file, begin, std::min(begin + kPart, size)});
    }
    return parts;
}

// Calls work(0) to work(count - 1), several at once. Throws what one of them threw.
void in_threads(std::size_t count, const std::function<void(std::size_t)>& work) {
    std::atomic<std::size_t> next = 0;
    std::vector<std::future<void>> others;
    auto all_of_it = [&] {
        for (std::size_t i; (i = next++) < count;) work(i);
    };
    const auto threads = std::min<std::size_t>({count, std::thread::hardware_concurrency(), kMostThreads});
    for (std::size_t i = 1; i < threads; ++i) others.push_back(std::async(std::launch::async, all_of_it));
    all_of_it();
    for (auto& other : others) other.get();
}

// What an attempt logged, by metric, then by rank; large files are read by several threads.
using ByMetric = std::map<std::string, std::map<Rank, Points>>;

ByMetric read_attempt(const fs::path& attempt_dir, const SeriesQuery& query) {
    const auto parts = parts_of(attempt_dir);
    std::deque<Collector> collectors;
    for (std::size_t i = 0; i < parts.size(); ++i) collectors.emplace_back(query);
    in_threads(parts.size(), [&](std::size_t i) { read_part(parts[i], collectors[i]); });
    ByMetric found;
    for (auto& collector : collectors) {
        for (auto& [rank, metrics] : collector.all()) {
            for (auto& [name, of_part] : metrics) {
                Points& points = found[name][rank];
                if (points.empty())
                    points = std::move(of_part.points);
                else
                    points.insert(points.end(), of_part.points.begin(), of_part.points.end());
                Points().swap(of_part.points);
            }
        }
    }
    return found;
}

std::vector<int> attempts_of(const fs::path& run_dir, const SeriesQuery& query) {
    std::vector<int> numbers;
    for (int number = 1, newest = newest_attempt(run_dir); number <= newest; ++number)
        if (!query.attempt || number == *query.attempt) numbers.push_back(number);
    return numbers;
}

// Which ranks make one series each.
std::vector<std::set<Rank>> wanted_ranks(const std::set<Rank>& there, const std::string& asked) {
    std::vector<std::set<Rank>> groups;
    if (asked == "all") {
        for (const auto& rank : there) groups.push_back({rank});
        return groups;
    }
    std::int64_t number = 0;
    std::from_chars(asked.data(), asked.data() + asked.size(), number);
    if (number != 0) return there.contains(number) ? std::vector{std::set<Rank>{number}} : groups;
    if (there.contains(std::nullopt) || there.contains(0)) return {{std::nullopt, 0}};
    if (!there.empty()) groups.push_back({*there.begin()});
    return groups;
}

Points merged(std::vector<ByMetric>& attempts, const std::string& name, const std::set<Rank>& ranks) {
    Points all;
    for (auto& metrics : attempts) {
        auto found = metrics.find(name);
        if (found == metrics.end()) continue;
        Points points;
        for (const auto& rank : ranks) {
            auto of_rank = found->second.find(rank);
            if (of_rank == found->second.end()) continue;
            if (points.empty())
                points = std::move(of_rank->second);
            else
                points.insert(points.end(), of_rank->second.begin(), of_rank->second.end());
        }
        put_in_order(points);
        take_up(all, std::move(points));
    }
    return all;
}

// Names in the order in which the query wants them.
std::vector<std::string> wanted_names(const std::vector<std::string>& names, const SeriesQuery& query) {
    if (query.names.empty()) return names;
    std::vector<std::string> wanted;
    for (const auto& pattern : query.names)
        for (const auto& name : names)
            if (matches(pattern, name) && std::find(wanted.begin(), wanted.end(), name) == wanted.end())
                wanted.push_back(name);
    return wanted;
}

double time_or_zero(const Point& point) {
    return std::isnan(point.time) ? 0 : point.time;
}

} // namespace

bool matches_any(const std::string& pattern, const std::vector<std::string>& names) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return matches(pattern, name); });
}

bool matches_one_of(const std::vector<std::string>& patterns, const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches(pattern, name); });
}

void put_in_order(std::vector<Point>& points) {
    const bool steps = std::none_of(points.begin(), points.end(), [](const Point& it) { return it.step == kNoStep; });
    auto before = [steps](const Point& a, const Point& b) {
        if (steps && a.step != b.step) return a.step < b.step;
        return time_or_zero(a) < time_or_zero(b);
    };
    if (!std::is_sorted(points.begin(), points.end(), before)) std::stable_sort(points.begin(), points.end(), before);
}

void take_up(std::vector<Point>& earlier, std::vector<Point> later) {
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    for (const auto& point : later)
        if (point.step != kNoStep) first = std::min(first, point.step);
    std::erase_if(earlier, [first](const Point& it) { return it.step >= first; });
    if (earlier.empty())
        earlier = std::move(later);
    else
        earlier.insert(earlier.end(), later.begin(), later.end());
}

RunMetrics read_metrics(const fs::path& run_dir, const SeriesQuery& query) {
    std::vector<ByMetric> attempts;
    std::map<std::string, std::set<Rank>> ranks;
    for (int number : attempts_of(run_dir, query)) {
        attempts.push_back(read_attempt(run_dir / "attempts" / std::to_string(number), query));
        for (const auto& [name, by_rank] : attempts.back())
            for (const auto& [rank, points] : by_rank) ranks[name].insert(rank);
    }
    RunMetrics found;
    for (const auto& [name, there] : ranks) found.names.push_back(name);
    for (const auto& name : wanted_names(found.names, query)) {
        for (const auto& group : wanted_ranks(ranks[name], query.rank)) {
            const Rank rank = *group.rbegin();
            const bool labelled = query.rank == "all" && rank;
            found.series.push_back(
                {name, labelled ? name + "@" + std::to_string(*rank) : name, merged(attempts, name, group)});
        }
    }
    return found;
}

std::vector<std::string> some_metric_names(const fs::path& run_dir) {
    std::set<std::string> names;
    for (int number : attempts_of(run_dir, {})) {
        const fs::path attempt_dir = run_dir / "attempts" / std::to_string(number);
        if (const auto summaries = read_json(attempt_dir / "metrics.json"); summaries && summaries->is_object())
            for (const auto& [name, summary] : summaries->items()) names.insert(name);
        for (const auto& file : event_files(attempt_dir)) {
            MetricLineParser parser;
            for_each_line(file, 0, kSome, [&](std::string_view line) {
                if (const MetricLine* metrics = parser.parse(line))
                    for (const auto& value : metrics->values) names.emplace(value.name);
            });
        }
    }
    return {names.begin(), names.end()};
}

Summary summary_of(const std::vector<Point>& points) {
    Summary summary;
    summary.count = points.size();
    if (points.empty()) return summary;
    summary.last = {points.back().value, points.back().step};
    summary.last_time = points.back().time;
    summary.min = summary.max = {kUnknown, kNoStep};
    for (const auto& point : points) {
        if (std::isnan(point.value)) continue;
        if (!(summary.min.value <= point.value)) summary.min = {point.value, point.step};
        if (!(summary.max.value >= point.value)) summary.max = {point.value, point.step};
    }
    return summary;
}

} // namespace poster
