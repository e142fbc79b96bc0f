#include "printed_metrics.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace poster {

namespace {

constexpr std::size_t kMostBars = 200;
constexpr std::size_t kMostSeen = 10'000;
constexpr double kPointsPerBar = 100;

bool same(double a, double b) {
    return a == b || (std::isnan(a) && std::isnan(b));
}

std::size_t hash_of(const std::string& key, const PrintedCounter& counter, const PrintedPoint& point) {
    std::size_t hash = std::hash<std::string>{}(key);
    const auto add = [&](std::size_t part) { hash = (hash ^ part) * 0x9e3779b97f4a7c15; };
    add(std::hash<double>{}(counter.value));
    add(std::hash<double>{}(point.epoch.value_or(-1)));
    for (const auto& [name, value] : point.values) {
        add(std::hash<std::string>{}(name));
        add(std::hash<double>{}(value));
    }
    return hash;
}

bool starts_again(double counter, double last, const std::optional<double>& epoch,
                  const std::optional<double>& last_epoch) {
    // Within an epoch, lines of several processes may come out of order.
    return epoch && last_epoch ? *epoch != *last_epoch && counter <= last : counter < last && counter <= last / 2;
}

} // namespace

PrintedMetrics::PrintedMetrics(std::shared_ptr<const MetricPatterns> patterns, Sink sink)
    : patterns_(std::move(patterns)), sink_(std::move(sink)), states_([this](const auto& state) { take(state); }) {}

void PrintedMetrics::take(const PrintedStates::State& state) {
    PrintedLine matched;
    const bool own = patterns_ && patterns_->read(state.text, matched);
    PrintedLine& line = own ? matched : reader_.read(state.text);
    if (!own) tables_.take(state.text, reader_.tokens(), line);
    if (line.epoch) epoch_ = line.epoch;
    if (line.values.empty()) return;
    PrintedPoint point{state.time_ms, line.step, line.epoch ? line.epoch : epoch_, std::move(line.values),
                       std::string(state.text)};
    if (line.counter && !line.step)
        take_bar(*line.counter, std::move(point), state.final);
    else if (state.final)
        sink_(point);
}

void PrintedMetrics::take_bar(const PrintedCounter& counter, PrintedPoint point, bool final) {
    const std::string key = fmt::format("{}{}", counter.bar, counter.total);
    if (bars_.size() >= kMostBars && !bars_.contains(key)) {
        if (final) sink_(point);
        return;
    }
    if (seen_.contains(hash_of(key, counter, point))) return; // drawn again, above or below another bar
    Bar& bar = bars_[key];
    if (starts_again(counter.value, bar.last, point.epoch, bar.epoch)) {
        emit(key, bar);
        bar.offset += counter.total > 0 ? counter.total : bar.last;
        bar.emitted = -1;
        bar.values.clear();
    }
    // The counter goes on first, the numbers beside it follow: of the states with one count the last is right.
    const double apart = std::max(1.0, (counter.total > 0 ? counter.total : counter.value) / kPointsPerBar);
    const bool due = counter.value != bar.last && bar.last - bar.emitted >= apart;
    if (due && !counter.evaluates) emit(key, bar);
    bar.last = counter.value;
    bar.total = counter.total;
    bar.epoch = point.epoch;
    if (!counter.evaluates) point.step = std::int64_t(bar.offset + counter.value);
    bar.held = std::move(point);
    const bool complete = counter.evaluates && counter.value == counter.total;
    if (final || complete) emit(key, bar);
}

void PrintedMetrics::emit(const std::string& key, Bar& bar) {
    if (!bar.held) return;
    PrintedPoint point = std::move(*bar.held);
    bar.held.reset();
    if (seen_.size() >= kMostSeen) seen_.clear();
    seen_.insert(hash_of(key, {bar.last, bar.total, false, {}}, point));
    if (bar.emitted == bar.last)
        std::erase_if(point.values, [&](const auto& value) {
            return std::any_of(bar.values.begin(), bar.values.end(), [&](const auto& before) {
                return before.first == value.first && same(before.second, value.second);
            });
        });
    bar.emitted = bar.last;
    if (point.values.empty()) return;
    sink_(point);
    bar.values = std::move(point.values);
}

void PrintedMetrics::finish() {
    states_.finish();
    std::vector<PrintedPoint> held;
    for (auto& [key, bar] : bars_)
        if (bar.held) held.push_back(std::move(*bar.held));
    bars_.clear();
    std::sort(held.begin(), held.end(),
              [](const auto& a, const auto& b) { return std::pair(a.time_ms, a.line) < std::pair(b.time_ms, b.line); });
    for (const auto& point : held) sink_(point);
}

} // namespace poster
