#include "metric_totals.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include <nlohmann/json.hpp>

#include "records.hpp"

namespace poster {

using nlohmann::json;

namespace {

constexpr const char* kNaN = "NaN";
constexpr const char* kInfinity = "Infinity";
constexpr const char* kMinusInfinity = "-Infinity";

json json_of_step(const std::optional<std::int64_t>& step) {
    return step ? json(*step) : json(nullptr);
}

void put_point(json& record, const std::string& key, const std::optional<MetricTotal::Point>& point) {
    record[key] = point ? json_of_number(point->value) : json(nullptr);
    record[key + "_step"] = point ? json_of_step(point->step) : json(nullptr);
}

// `key` and `key`_step of `from`, where `better` says so or there is nothing in `into`.
void take_point(json& into, const json& from, const std::string& key,
                const std::function<bool(double, double)>& better) {
    const auto other = number_of_json(from.value(key, json()));
    const auto mine = number_of_json(into.value(key, json()));
    if (!other || (mine && !better(*other, *mine))) return;
    into[key] = from[key];
    into[key + "_step"] = from.value(key + "_step", json());
}

void merge_later_attempt(json& total, const json& later) {
    const double count = number_of(total, "count").value_or(0) + number_of(later, "count").value_or(0);
    for (const char* key : {"last", "last_step", "last_time"}) total[key] = later.value(key, json());
    take_point(total, later, "min", std::less<>());
    take_point(total, later, "max", std::greater<>());
    total["count"] = std::uint64_t(count);
}

} // namespace

struct MetricTotals::Entry {
    std::string name;
    MetricTotal total;
    std::int64_t rank = std::numeric_limits<std::int64_t>::max();
    std::size_t writer = 0; // of the last value
};

MetricTotals::MetricTotals() = default;
MetricTotals::~MetricTotals() = default;

MetricTotals::Entry& MetricTotals::entry_of(std::string_view name, std::size_t place) {
    if (place < usual_.size() && usual_[place]->name == name) return *usual_[place];
    auto& entry = entries_[std::string(name)];
    if (!entry) entry = std::make_unique<Entry>(Entry{std::string(name), {}});
    usual_.resize(std::max(usual_.size(), place + 1), entry.get());
    usual_[place] = entry.get();
    return *entry;
}

void MetricTotals::add(const MetricLine& line, std::string_view writer, double now) {
    const std::int64_t rank = line.rank.value_or(0);
    const std::size_t writer_key = std::hash<std::string_view>()(writer);
    const double time = line.time.value_or(now);
    for (std::size_t i = 0; i < line.values.size(); ++i) {
        const double value = line.values[i].value;
        Entry& entry = entry_of(line.values[i].name, i);
        if (rank > entry.rank) continue;
        if (rank < entry.rank) entry.total = {};
        entry.rank = rank;
        MetricTotal& total = entry.total;
        // A clock may be set back; of two writers the later time counts.
        const bool newer = total.count == 0 || writer_key == entry.writer || time >= total.last_time;
        if (newer) {
            total.last = {value, line.step};
            total.last_time = time;
            entry.writer = writer_key;
        }
        ++total.count;
        if (std::isnan(value)) continue;
        if (!total.min || value < total.min->value) total.min = MetricTotal::Point{value, line.step};
        if (!total.max || value > total.max->value) total.max = MetricTotal::Point{value, line.step};
    }
}

bool MetricTotals::empty() const {
    return entries_.empty();
}

json MetricTotals::to_json() const {
    json all = json::object();
    for (const auto& [name, entry] : entries_) {
        const MetricTotal& total = entry->total;
        json& record = all[name];
        put_point(record, "last", total.last);
        put_point(record, "min", total.min);
        put_point(record, "max", total.max);
        record["last_time"] = total.last_time;
        record["count"] = total.count;
    }
    return all;
}

json metrics_of_run(const std::filesystem::path& run_dir) {
    std::map<int, json> attempts;
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(run_dir / "attempts", failure)) {
        auto metrics = read_json(entry.path() / "metrics.json");
        if (metrics && metrics->is_object()) attempts[std::atoi(entry.path().filename().c_str())] = std::move(*metrics);
    }
    json all = json::object();
    for (auto& [number, metrics] : attempts)
        for (auto& [name, record] : metrics.items()) {
            if (!record.is_object()) continue;
            if (all.contains(name))
                merge_later_attempt(all[name], record);
            else
                all[name] = std::move(record);
        }
    return all;
}

json json_of_number(double value) {
    if (std::isnan(value)) return kNaN;
    if (std::isinf(value)) return value > 0 ? kInfinity : kMinusInfinity;
    return value;
}

std::optional<double> number_of_json(const json& value) {
    if (value.is_number()) return value.get<double>();
    if (value == kNaN) return std::numeric_limits<double>::quiet_NaN();
    if (value == kInfinity) return std::numeric_limits<double>::infinity();
    if (value == kMinusInfinity) return -std::numeric_limits<double>::infinity();
    return std::nullopt;
}

} // namespace poster
