// `poster export`: the metrics of many runs as one table, or their events as lines of JSON; streamed, so that what is
// exported may be larger than the memory.

#include <algorithm>
#include <limits>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <metric_line.hpp>

#include "commands.hpp"
#include "event_files.hpp"
#include "export_tensorboard.hpp"
#include "numbers.hpp"
#include "output_file.hpp"
#include "reading.hpp"
#include "series.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kFlushAt = 1 << 20;
constexpr auto kWholeFile = std::numeric_limits<std::uint64_t>::max();

// To a file of the user's, or to stdout.
class Target {
public:
    explicit Target(const std::optional<std::string>& file) {
        if (file && *file != "-") file_.emplace(*file);
    }
    std::string& text() { return text_; }
    void end_line() {
        text_ += '\n';
        if (text_.size() >= kFlushAt) flush();
    }
    void finish() {
        flush();
        if (file_) file_->finish();
    }

private:
    void flush() {
        if (file_)
            file_->write(text_);
        else
            print_out(text_);
        text_.clear();
    }

    std::optional<OutputFile> file_;
    std::string text_;
};

// What is asked for, and whose line it is.
class Exporter {
public:
    Exporter(const std::vector<std::string>& metrics, Target& target) : metrics_(metrics), target_(target) {}
    virtual ~Exporter() = default;

    void begin(const RunRow& run, int attempt) {
        run_ = &run;
        attempt_ = attempt;
        wanted_.clear();
        begin_attempt();
    }
    virtual void take(std::string_view line) = 0;

protected:
    virtual void begin_attempt() = 0;

    const RunRow& run() const { return *run_; }
    int attempt() const { return attempt_; }
    Target& target() { return target_; }
    bool takes_all() const { return metrics_.empty(); }

    bool is_wanted(std::string_view name) {
        if (metrics_.empty()) return true;
        auto known = wanted_.find(name);
        if (known == wanted_.end()) known = wanted_.emplace(name, matches_one_of(metrics_, std::string(name))).first;
        return known->second;
    }

    MetricLineParser parser_;

private:
    const std::vector<std::string>& metrics_;
    Target& target_;
    const RunRow* run_ = nullptr;
    int attempt_ = 1;
    std::map<std::string, bool, std::less<>> wanted_;
};

class CsvExporter : public Exporter {
public:
    CsvExporter(const std::vector<std::string>& metrics, Target& to) : Exporter(metrics, to) {
        to.text() += "run,name,attempt,rank,step,epoch,time,metric,value";
        to.end_line();
    }

    void take(std::string_view line) override {
        const MetricLine* metrics = parser_.parse(line);
        if (metrics == nullptr) return;
        for (const auto& [name, value] : metrics->values) {
            if (!is_wanted(name)) continue;
            std::string& out = target().text();
            out += front_;
            if (metrics->rank) append_whole(out, *metrics->rank);
            out += ',';
            if (metrics->step) append_whole(out, *metrics->step);
            out += ',';
            if (metrics->epoch) append_number(out, *metrics->epoch);
            out += ',';
            if (metrics->time) append_number(out, *metrics->time);
            out += ',';
            append_csv(out, name);
            out += ',';
            append_number(out, value);
            target().end_line();
        }
    }

protected:
    void begin_attempt() override {
        front_ = run().id + ',';
        append_csv(front_, run().name);
        front_ += fmt::format(",{},", attempt());
    }

private:
    std::string front_;
};

// Readers of the event log take bare NaN and infinities; those of JSON do not.
bool may_hold_bare_words(std::string_view line) {
    return line.find("NaN") != std::string_view::npos || line.find("Infinity") != std::string_view::npos;
}

class JsonExporter : public Exporter {
public:
    using Exporter::Exporter;

    void take(std::string_view line) override {
        const MetricLine* metrics = parser_.parse(line);
        if (metrics == nullptr) {
            if (takes_all() && line.size() > 2 && is_object(line)) put(line);
        } else if (takes_all() && (!may_hold_bare_words(line) || is_object(line))) {
            put(line);
        } else {
            put(*metrics);
        }
    }

protected:
    void begin_attempt() override {
        front_ = "{\"run\":";
        append_json(front_, run().id);
        front_ += fmt::format(",\"attempt\":{},", attempt());
    }

private:
    static bool is_object(std::string_view line) {
        return line.front() == '{' && json::accept(line.begin(), line.end());
    }

    void put(std::string_view line) {
        target().text().append(front_).append(line.substr(line.find_first_not_of(" \t", 1)));
        target().end_line();
    }

    void put(const MetricLine& line) {
        std::string& out = target().text();
        const std::size_t begin = out.size();
        out.append(front_).append("\"kind\":\"metric\"");
        auto field = [&](const char* name, const auto& value) {
            if (!value) return;
            out.append(",\"").append(name).append("\":");
            if constexpr (std::is_same_v<decltype(value), const std::optional<double>&>)
                append_json_number(out, *value);
            else
                append_whole(out, *value);
        };
        field("time", line.time);
        field("step", line.step);
        field("epoch", line.epoch);
        field("rank", line.rank);
        out += ",\"values\":{";
        bool any = false;
        for (const auto& [name, value] : line.values) {
            if (!is_wanted(name)) continue;
            if (any) out += ',';
            any = true;
            append_json(out, name);
            out += ':';
            append_json_number(out, value);
        }
        out += "}}";
        if (any)
            target().end_line();
        else
            out.resize(begin);
    }

    std::string front_;
};

void export_events(const std::vector<RunRow>& runs, Exporter& exporter) {
    for (const auto& run : runs) {
        const fs::path run_dir = run.dir;
        for (int attempt = 1, newest = newest_attempt(run_dir); attempt <= newest; ++attempt) {
            exporter.begin(run, attempt);
            for (const auto& file : event_files(run_dir / "attempts" / std::to_string(attempt)))
                for_each_line(file, 0, kWholeFile, [&](std::string_view line) { exporter.take(line); });
        }
    }
}

// The runs that are named, else all, oldest first; of those the ones that --where wants.
std::vector<RunRow> chosen_runs(const Reading& reading, const ExportArguments& arguments) {
    RunFilter filter;
    if (!arguments.where.empty()) filter.where = Where::parse(arguments.where);
    if (!arguments.runs.empty() && !filter.where) return find_runs(reading, arguments.runs);
    auto rows = reading.index->list(filter);
    std::reverse(rows.begin(), rows.end());
    if (arguments.runs.empty()) return rows;
    auto named = find_runs(reading, arguments.runs);
    std::erase_if(named, [&](const RunRow& run) {
        return std::none_of(rows.begin(), rows.end(), [&](const RunRow& wanted) { return wanted.id == run.id; });
    });
    return named;
}

} // namespace

int export_runs(const ExportArguments& arguments) {
    const Reading reading = read_existing_store(arguments.store);
    auto runs = chosen_runs(reading, arguments);
    for (auto& run : runs) run.dir = reading.workspace.store.run_dir(run.id).string();
    if (arguments.tensorboard) {
        export_tensorboard(runs, arguments.metrics, *arguments.tensorboard);
        return 0;
    }
    Target target(arguments.output);
    std::unique_ptr<Exporter> exporter;
    if (arguments.csv)
        exporter = std::make_unique<CsvExporter>(arguments.metrics, target);
    else
        exporter = std::make_unique<JsonExporter>(arguments.metrics, target);
    export_events(runs, *exporter);
    target.finish();
    return 0;
}

} // namespace poster
