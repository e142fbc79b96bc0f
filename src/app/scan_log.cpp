// `poster scan`: which metrics a log would give under `poster run --scan-metrics`.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <fd.hpp>
#include <printed_metrics.hpp>

#include "commands.hpp"
#include "table.hpp"
#include "workspace.hpp"

namespace poster {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kBlock = 1 << 20;
constexpr std::size_t kExampleWidth = 20; // at least
constexpr std::size_t kExampleBytes = 400;

struct Found {
    std::size_t order = 0; // of its first point
    std::size_t count = 0;
    double first = 0, last = 0;
    std::optional<std::int64_t> first_step, last_step;
    std::string line; // of its first point
};

class Summary {
public:
    void add(const PrintedPoint& point) {
        ++points_;
        for (const auto& [name, value] : point.values) {
            Found& found = metrics_[name];
            if (found.count++ == 0) {
                found.order = metrics_.size();
                found.first = value;
                found.first_step = point.step;
                found.line = point.line;
            }
            found.last = value;
            found.last_step = point.step;
        }
    }

    std::string table(const Terminal& terminal) const {
        Table table({{"METRIC"}, {"COUNT", 0, true}, {"FIRST", 0, true}, {"LAST", 0, true}, {"LINE", kExampleWidth}});
        for (const auto& [name, found] : in_order())
            table.add({{printable(*name)},
                       {fmt::format("{}", found->count)},
                       {fmt::format("{:.6g}", found->first)},
                       {fmt::format("{:.6g}", found->last)},
                       {printable(std::string_view(found->line).substr(0, kExampleBytes)), Colour::dim}});
        return table.render(terminal);
    }

    ordered_json to_json() const {
        ordered_json metrics = ordered_json::array();
        for (const auto& [name, found] : in_order())
            metrics.push_back({{"name", *name},
                               {"count", found->count},
                               {"first", number(found->first)},
                               {"last", number(found->last)},
                               {"first_step", step(found->first_step)},
                               {"last_step", step(found->last_step)},
                               {"line", found->line}});
        return {{"points", points_}, {"metrics", metrics}};
    }

    bool empty() const { return points_ == 0; }

private:
    std::vector<std::pair<const std::string*, const Found*>> in_order() const {
        std::vector<std::pair<const std::string*, const Found*>> rows;
        for (const auto& [name, found] : metrics_) rows.emplace_back(&name, &found);
        std::sort(rows.begin(), rows.end(),
                  [](const auto& a, const auto& b) { return a.second->order < b.second->order; });
        return rows;
    }
    static ordered_json number(double value) {
        if (std::isnan(value)) return "NaN";
        if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
        return value;
    }
    static ordered_json step(const std::optional<std::int64_t>& step) {
        return step ? ordered_json(*step) : ordered_json(nullptr);
    }

    std::map<std::string, Found> metrics_;
    std::size_t points_ = 0;
};

Fd open_log(const std::string& file) {
    Fd log(file == "-" ? ::dup(STDIN_FILENO) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!log) throw_errno("cannot read " + file, errno);
    return log;
}

void read_all(int log, const std::string& file, PrintedMetrics& metrics) {
    std::string buffer(kBlock, '\0');
    for (;;) {
        const ssize_t got = ::read(log, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw_errno("cannot read " + file, errno);
        if (got == 0) return metrics.finish();
        metrics.feed(std::string_view(buffer).substr(0, std::size_t(got)), 0);
    }
}

} // namespace

int scan_log(const ScanArguments& arguments) {
    auto patterns = open_workspace(std::nullopt).settings.list("metrics.patterns");
    patterns.insert(patterns.end(), arguments.patterns.begin(), arguments.patterns.end());
    Summary summary;
    PrintedMetrics metrics(std::make_shared<MetricPatterns>(patterns),
                           [&](const PrintedPoint& point) { summary.add(point); });
    const Fd log = open_log(arguments.file);
    read_all(log.get(), arguments.file, metrics);
    if (arguments.json) {
        print_out(summary.to_json().dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    } else if (summary.empty()) {
        say("no metrics found; --pattern '…(?P<loss>[0-9.]+)…' tells what they look like");
    } else {
        print_out(summary.table(stdout_terminal()));
    }
    return 0;
}

} // namespace poster
