#include "export_tensorboard.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <poster/event.hpp>
#include <records.hpp>
#include <store.hpp>
#include <tfevents.hpp>

#include "event_files.hpp"
#include "output_file.hpp"
#include "reading.hpp"
#include "series.hpp"

namespace poster {

namespace {

using nlohmann::json;

constexpr auto kWholeFile = std::numeric_limits<std::uint64_t>::max();

// The id, and the name for people, who see nothing else in TensorBoard.
std::string folder_of(const RunRow& run) {
    std::string name = run.name;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == '/' || static_cast<unsigned char>(c) < ' '; }, '_');
    return name.empty() ? run.id : run.id + "-" + name;
}

double seconds_of(const std::optional<WallTime>& time) {
    return time ? static_cast<double>(time->time_since_epoch().count()) / 1000 : 0;
}

void write_scalars(OutputFile& file, const Series& series, double start) {
    std::int64_t number = 0;
    for (const auto& point : series.points) {
        TfEvent event;
        event.time = std::isnan(point.time) ? start : point.time;
        event.step = point.step == kNoStep ? number : point.step;
        event.scalars.push_back({series.label, point.value});
        file.write(tf_record(tf_event_message(event)));
        ++number;
    }
}

// nullopt: no image of this run.
std::optional<TfEvent> image_event(const json& data, const fs::path& run_dir, double start) {
    const fs::path path = fs::path(text_of(data, "path")).lexically_normal();
    if (path.empty() || path.is_absolute() || *path.begin() == "..") return std::nullopt;
    auto bytes = read_file(run_dir / path);
    if (!bytes) return std::nullopt;
    TfEvent event;
    event.time = number_of(data, "time").value_or(start);
    event.step = static_cast<std::int64_t>(number_of(data, "step").value_or(0));
    event.images.push_back({text_of(data, "name"), static_cast<int>(number_of(data, "width").value_or(0)),
                            static_cast<int>(number_of(data, "height").value_or(0)), std::move(*bytes)});
    return event;
}

void write_images(OutputFile& file, const RunRow& run, const std::vector<std::string>& names, double start) {
    const fs::path run_dir = run.dir;
    for (int attempt = 1, newest = newest_attempt(run_dir); attempt <= newest; ++attempt)
        for (const auto& log : event_files(run_dir / "attempts" / std::to_string(attempt)))
            for_each_line(log, 0, kWholeFile, [&](std::string_view line) {
                const Event event(line, "");
                if (event.kind() != "image") return;
                if (!names.empty() && !matches_one_of(names, text_of(event.data(), "name"))) return;
                if (auto image = image_event(event.data(), run_dir, start))
                    file.write(tf_record(tf_event_message(*image)));
            });
}

} // namespace

void export_tensorboard(const std::vector<RunRow>& runs, const std::vector<std::string>& metrics, const fs::path& dir) {
    for (const auto& run : runs) {
        const double start = seconds_of(run.started_at);
        const fs::path folder = dir / folder_of(run);
        std::error_code failure;
        fs::create_directories(folder, failure);
        if (failure) throw Error(fmt::format("cannot make the folder {}: {}", folder.string(), failure.message()));
        OutputFile file((folder / fmt::format("events.out.tfevents.{}.poster", static_cast<long>(start))).string());
        TfEvent first;
        first.time = start;
        first.version = "brain.Event:2";
        file.write(tf_record(tf_event_message(first)));
        SeriesQuery query;
        query.names = metrics;
        for (const auto& series : read_metrics(run.dir, query).series) write_scalars(file, series, start);
        write_images(file, run, metrics, start);
        file.finish();
    }
}

} // namespace poster
