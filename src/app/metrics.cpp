// `poster metrics`: what a run logged as numbers: a summary of each metric, or series as a table, CSV or JSON.

#include <algorithm>
#include <cmath>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <records.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "event_files.hpp"
#include "metric_rows.hpp"
#include "numbers.hpp"
#include "reading.hpp"
#include "run_words.hpp"
#include "series.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kFlushAt = 1 << 20;
constexpr std::size_t kMostRowsOnTerminal = 200;
constexpr std::size_t kSampledRows = 50;

struct NamedSummary {
    std::string label;
    Summary summary;
};

// ---- the summary

double json_number(const json& value) {
    if (value.is_number()) return value.get<double>();
    if (!value.is_string()) return std::nan("");
    const auto text = value.get<std::string>();
    if (text == "Infinity") return HUGE_VAL;
    return text == "-Infinity" ? -HUGE_VAL : std::nan("");
}

Extreme extreme_of(const json& record, const std::string& key) {
    const auto value = record.find(key), step = record.find(key + "_step");
    Extreme extreme{std::nan(""), kNoStep};
    if (value != record.end()) extreme.value = json_number(*value);
    if (step != record.end() && step->is_number_integer()) extreme.step = step->get<std::int64_t>();
    return extreme;
}

// metrics.json of an attempt that has ended, where it is newer than all that was logged.
std::optional<json> kept_summaries(const fs::path& attempt_dir) {
    const auto attempt = read_json(attempt_dir / "attempt.json");
    if (!attempt || text_of(*attempt, "ended_at").empty()) return std::nullopt;
    std::error_code failure;
    const auto kept_at = fs::last_write_time(attempt_dir / "metrics.json", failure);
    if (failure) return std::nullopt;
    for (const auto& file : event_files(attempt_dir))
        if (fs::last_write_time(file, failure) >= kept_at || failure) return std::nullopt;
    auto kept = read_json(attempt_dir / "metrics.json");
    return kept && kept->is_object() ? std::move(kept) : std::nullopt;
}

std::vector<NamedSummary> summaries_of(const fs::path& run_dir, const MetricsArguments& arguments) {
    std::vector<NamedSummary> found;
    const int newest = newest_attempt(run_dir);
    const int number = arguments.attempt.value_or(newest);
    if (arguments.rank == "0" && (newest <= 1 || arguments.attempt)) {
        if (const auto kept = kept_summaries(run_dir / "attempts" / std::to_string(number))) {
            for (const auto& [name, it] : kept->items())
                found.push_back({name, Summary{extreme_of(it, "last"), extreme_of(it, "min"), extreme_of(it, "max"),
                                               number_of(it, "last_time").value_or(std::nan("")),
                                               std::size_t(number_of(it, "count").value_or(0))}});
            return found;
        }
    }
    for (const auto& series : read_metrics(run_dir, {{}, arguments.rank, arguments.attempt}).series)
        found.push_back({series.label, summary_of(series.points)});
    return found;
}

std::string step_text(std::int64_t step) {
    return step == kNoStep ? "" : std::to_string(step);
}

std::string summary_table(const std::vector<NamedSummary>& summaries) {
    Table table({{"METRIC", 8},
                 {"LAST", 0, true},
                 {"AT STEP", 0, true},
                 {"MIN", 0, true},
                 {"MAX", 0, true},
                 {"COUNT", 0, true}});
    for (const auto& [label, it] : summaries)
        table.add({{printable(label), Colour::bold},
                   {short_number(it.last.value)},
                   {step_text(it.last.step)},
                   {short_number(it.min.value)},
                   {short_number(it.max.value)},
                   {std::to_string(it.count)}});
    return table.render(stdout_terminal());
}

std::string summary_csv(const std::vector<NamedSummary>& summaries) {
    std::string out = "metric,last,last_step,last_time,min,min_step,max,max_step,count\n";
    auto put = [&out](const Extreme& it) {
        append_number(out, it.value);
        out.append(",").append(step_text(it.step)).append(",");
    };
    for (const auto& [label, it] : summaries) {
        append_csv(out, label);
        out += ',';
        put(it.last);
        if (!std::isnan(it.last_time)) append_number(out, it.last_time);
        out += ',';
        put(it.min);
        put(it.max);
        out.append(std::to_string(it.count)).append("\n");
    }
    return out;
}

std::string summary_json(const std::vector<NamedSummary>& summaries) {
    std::string out = "{";
    auto put = [&out](const char* key, const Extreme& it) {
        out.append("\"").append(key).append("\":");
        append_json_number(out, it.value);
        out.append(",\"").append(key).append("_step\":").append(it.step == kNoStep ? "null" : step_text(it.step));
        out += ',';
    };
    for (const auto& it : summaries) {
        out += &it == &summaries.front() ? "\n  " : ",\n  ";
        append_json(out, it.label);
        out += ": {";
        put("last", it.summary.last);
        out += "\"last_time\":";
        if (std::isnan(it.summary.last_time))
            out += "null";
        else
            append_json_number(out, it.summary.last_time);
        out += ',';
        put("min", it.summary.min);
        put("max", it.summary.max);
        out.append("\"count\":").append(std::to_string(it.summary.count)).append("}");
    }
    return out + (summaries.empty() ? "}\n" : "\n}\n");
}

int show_summaries(const RunRow& row, const fs::path& run_dir, const MetricsArguments& arguments) {
    const auto summaries = summaries_of(run_dir, arguments);
    if (arguments.json)
        print_out(summary_json(summaries));
    else if (arguments.csv)
        print_out(summary_csv(summaries));
    else if (summaries.empty())
        say(fmt::format("run {} has logged no metrics", row.id));
    else
        print_out(summary_table(summaries));
    return 0;
}

// ---- series

class Output {
public:
    std::string& line() { return out_; }
    void end_line() {
        out_ += '\n';
        if (out_.size() < kFlushAt) return;
        print_out(out_);
        out_.clear();
    }
    ~Output() = default;
    Output() { out_.reserve(kFlushAt + kFlushAt / 4); }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    void finish() { print_out(out_); }

private:
    std::string out_;
};

void print_series_json(std::vector<Series> series, const MetricsArguments& arguments) {
    Output output;
    output.line() += "{";
    for (auto& it : series) {
        if (arguments.tail && it.points.size() > arguments.points)
            it.points.erase(it.points.begin(), it.points.end() - std::ptrdiff_t(arguments.points));
        output.line() += &it == &series.front() ? "\n" : ",\n";
        append_json(output.line(), it.label);
        output.line() += ": [";
        for (const auto& point : it.points) {
            if (&point != &it.points.front()) output.line() += ',';
            output.end_line();
            std::string& out = output.line();
            out += "{\"step\":";
            if (point.step == kNoStep)
                out += "null";
            else
                append_whole(out, point.step);
            for (const auto& [key, value] : {std::pair(",\"epoch\":", point.epoch), {",\"time\":", point.time}}) {
                if (std::isnan(value)) continue;
                out += key;
                append_json_number(out, value);
            }
            out += ",\"value\":";
            append_json_number(out, point.value);
            out += '}';
        }
        output.line() += "]";
    }
    output.line() += "\n}\n";
    output.finish();
}

void print_rows_csv(const MetricRows& rows, const std::vector<Series>& series, std::size_t first) {
    Output output;
    output.line() += "step,epoch,time";
    for (const auto& it : series) {
        output.line() += ',';
        append_csv(output.line(), it.label);
    }
    output.end_line();
    for (std::size_t i = first; i < rows.size(); ++i) {
        std::string& out = output.line();
        const auto& row = rows.row(i);
        if (row.step != kNoStep) append_whole(out, row.step);
        out += ',';
        if (!std::isnan(row.epoch)) append_number(out, row.epoch);
        out += ',';
        if (!std::isnan(row.time)) append_number(out, row.time);
        for (std::size_t column = 0; column < series.size(); ++column) {
            out += ',';
            if (const Point* point = rows.point(i, column)) append_number(out, point->value);
        }
        output.end_line();
    }
    output.finish();
}

// "2026-11-23 14:05:09" of this machine's clock, one second after the other cheaply.
class LocalTimes {
public:
    const std::string& text(double seconds) {
        if (std::isnan(seconds) || std::abs(seconds) > 1e12) return nothing_;
        const auto whole = std::time_t(std::floor(seconds));
        if (whole == known_) return text_;
        std::tm parts{};
        char text[32];
        ::localtime_r(&whole, &parts);
        text_.assign(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts));
        known_ = whole;
        return text_;
    }

private:
    std::string nothing_, text_;
    std::time_t known_ = -1;
};

// Cells of a table of any length, in one piece of memory.
class Grid {
public:
    explicit Grid(std::size_t columns) : widths_(columns) {}

    std::string& text() { return text_; }
    void end_cell(std::size_t columns_shown = std::string::npos) {
        const std::size_t length = text_.size() - (ends_.empty() ? 0 : ends_.back());
        std::size_t& width = widths_[ends_.size() % widths_.size()];
        width = std::max(width, std::min(columns_shown, length));
        ends_.push_back(text_.size());
    }
    // Right-aligned; a column without a title and a cell is left out.
    void print(const Terminal& terminal) const {
        Output output;
        std::size_t begin = 0;
        std::string line;
        for (std::size_t cell = 0; cell < ends_.size(); ++cell) {
            const std::string_view text = std::string_view(text_).substr(begin, ends_[cell] - begin);
            begin = ends_[cell];
            const std::size_t width = widths_[cell % widths_.size()];
            if (width > 0) {
                const std::size_t used = cell < widths_.size() ? display_width(text) : text.size();
                line.append(width - std::min(width, used) + (line.empty() ? 0 : 2), ' ').append(text);
            }
            if ((cell + 1) % widths_.size() != 0) continue;
            output.line() += terminal.width ? shorten(line, *terminal.width) : line;
            output.end_line();
            line.clear();
        }
        output.finish();
    }

private:
    std::string text_;
    std::vector<std::size_t> ends_, widths_;
};

void put_titles(Grid& grid, const std::vector<Series>& series, bool epochs, bool times) {
    for (const char* title : {"STEP", epochs ? "EPOCH" : "", times ? "TIME" : ""}) {
        grid.text() += title;
        grid.end_cell();
    }
    for (const auto& it : series) {
        const std::string title = printable(it.label);
        grid.text() += title;
        grid.end_cell(display_width(title));
    }
}

void print_rows_table(const MetricRows& rows, const std::vector<Series>& series, const std::vector<std::size_t>& shown,
                      const Terminal& terminal) {
    bool epochs = false, timed = false;
    for (std::size_t i = 0; i < rows.size() && !(epochs && timed); ++i) {
        epochs |= !std::isnan(rows.row(i).epoch);
        timed |= !std::isnan(rows.row(i).time);
    }
    Grid grid(series.size() + 3);
    put_titles(grid, series, epochs, timed);
    LocalTimes times;
    for (std::size_t i : shown) {
        const auto& row = rows.row(i);
        if (row.step != kNoStep) append_whole(grid.text(), row.step);
        grid.end_cell();
        if (!std::isnan(row.epoch)) append_short(grid.text(), row.epoch);
        grid.end_cell();
        grid.text() += times.text(row.time);
        grid.end_cell();
        for (std::size_t column = 0; column < series.size(); ++column) {
            if (const Point* point = rows.point(i, column)) append_short(grid.text(), point->value);
            grid.end_cell();
        }
    }
    grid.print(terminal);
}

// All from `first` on, or of more than a screen can show evenly spaced ones.
std::vector<std::size_t> rows_shown(std::size_t first, std::size_t end, bool is_terminal) {
    std::vector<std::size_t> shown;
    const std::size_t count = end - first;
    if (!is_terminal || count <= kMostRowsOnTerminal) {
        for (std::size_t i = first; i < end; ++i) shown.push_back(i);
        return shown;
    }
    for (std::size_t i = 0; i < kSampledRows; ++i) shown.push_back(first + i * (count - 1) / (kSampledRows - 1));
    return shown;
}

int show_series(const RunRow& row, const fs::path& run_dir, const std::vector<std::string>& names,
                const MetricsArguments& arguments) {
    auto metrics = read_metrics(run_dir, {names, arguments.rank, arguments.attempt});
    for (const auto& name : names)
        if (!matches_any(name, metrics.names)) refuse_metric(row.id, name, metrics.names);
    if (arguments.json) {
        print_series_json(std::move(metrics.series), arguments);
        return 0;
    }
    const MetricRows rows(metrics.series);
    const std::size_t first = arguments.tail && rows.size() > arguments.points ? rows.size() - arguments.points : 0;
    if (arguments.csv) {
        print_rows_csv(rows, metrics.series, first);
        return 0;
    }
    if (rows.size() == 0) {
        say(fmt::format("run {} has no points of that{}", row.id,
                        arguments.rank == "0" ? "" : " of rank " + arguments.rank));
        return 0;
    }
    const Terminal terminal = stdout_terminal();
    const auto shown = rows_shown(first, rows.size(), terminal.is_terminal);
    print_rows_table(rows, metrics.series, shown, terminal);
    if (shown.size() < rows.size() - first)
        say(fmt::format("{} of {} rows; --tail shows the last ones, a pipe or --csv all", shown.size(), rows.size()));
    return 0;
}

} // namespace

int show_metrics(const MetricsArguments& arguments) {
    const Reading reading = read_existing_store(arguments.store);
    auto [runs, names] = split_run_words(reading, arguments.words, 1);
    const RunRow& row = runs.front();
    const fs::path run_dir = reading.workspace.store.run_dir(row.id);
    if (arguments.attempt && !fs::exists(reading.workspace.store.attempt_dir(row.id, *arguments.attempt)))
        throw UsageError(fmt::format("run {} has no attempt {}", row.id, *arguments.attempt),
                         fmt::format("it has {}", newest_attempt(run_dir)));
    if (names.empty() && arguments.tail) names = {"*"};
    return names.empty() ? show_summaries(row, run_dir, arguments) : show_series(row, run_dir, names, arguments);
}

} // namespace poster
