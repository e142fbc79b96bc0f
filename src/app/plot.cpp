// `poster plot`: metrics of one or several runs as curves, in the terminal or in a picture.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <draw.hpp>
#include <error.hpp>
#include <figure.hpp>
#include <records.hpp>
#include <text.hpp>
#include <text_plot.hpp>

#include "commands.hpp"
#include "output_file.hpp"
#include "reading.hpp"
#include "run_words.hpp"
#include "series.hpp"
#include "table.hpp"

namespace poster {

namespace {

constexpr std::size_t kPlainColumns = 80, kPlainRows = 20;
constexpr std::size_t kMostRows = 40; // of a plot in a high terminal, unless --size asks for more
constexpr std::size_t kLeastPicture = 200, kMostPicture = 8000;
constexpr std::pair kUsualPicture{1200, 720};
constexpr std::size_t kMostCurves = 100;
constexpr std::size_t kSuffix = 4; // of an id: enough to tell runs apart

struct RunSeries {
    const RunRow* run;
    Series series;
};

std::string name_of(const RunRow& row) {
    return row.name.empty() ? row.id.substr(row.id.size() - std::min(kSuffix, row.id.size())) : printable(row.name);
}

// When the run began, for the axis of relative time; NaN: not known.
double start_of(const fs::path& run_dir) {
    const auto attempt = read_json(run_dir / "attempts" / "1" / "attempt.json");
    const auto time = attempt ? parse_iso8601(text_of(*attempt, "started_at")) : std::nullopt;
    return time ? double(time->time_since_epoch().count()) / 1000 : std::nan("");
}

double x_of(const Point& point, std::size_t number, const std::string& axis, double start) {
    if (axis == "epoch") return point.epoch;
    if (axis == "time") return point.time;
    if (axis == "relative") return point.time - start;
    return point.step == kNoStep ? double(number) : double(point.step);
}

Curve curve_of(const RunSeries& of, const PlotArguments& arguments, double start) {
    const auto& points = of.series.points;
    Curve curve;
    curve.x.reserve(points.size());
    curve.y.reserve(points.size());
    for (std::size_t i = 0; i < points.size(); ++i) {
        const double x = x_of(points[i], i, arguments.axis, start);
        if (!std::isfinite(x)) continue;
        curve.x.push_back(x);
        curve.y.push_back(points[i].value);
    }
    // Steps are in order; what else goes along with them mostly is.
    if (!std::is_sorted(curve.x.begin(), curve.x.end())) {
        std::vector<std::pair<double, double>> pairs;
        for (std::size_t i = 0; i < curve.x.size(); ++i) pairs.emplace_back(curve.x[i], curve.y[i]);
        std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        for (std::size_t i = 0; i < pairs.size(); ++i) std::tie(curve.x[i], curve.y[i]) = pairs[i];
    }
    if (arguments.smooth > 0) {
        curve.raw = curve.y;
        curve.y = smoothed(curve.raw, arguments.smooth);
    }
    return curve;
}

std::string ids_of(const std::vector<RunRow>& runs) {
    std::string ids;
    for (const auto& run : runs) ids += (ids.empty() ? "" : ", ") + run.id;
    return ids;
}

// Where every word names a run, the last one may be a metric's name as well.
std::vector<std::string> metric_at_the_end(const Reading& reading, const std::vector<RunRow>& runs,
                                           const std::string& word) {
    std::vector<std::string> names;
    for (const auto& run : runs) {
        const auto more = some_metric_names(reading.workspace.store.run_dir(run.id));
        if (std::binary_search(more.begin(), more.end(), word)) return {word};
        names.insert(names.end(), more.begin(), more.end());
    }
    if (names.empty()) throw Error(fmt::format("run {} has logged no metrics", runs.front().id));
    throw UsageError(fmt::format("no metric to plot: '{}' is a run", printable(word)),
                     fmt::format("for example: poster plot {} {}", shell_quote(word), shell_quote(names.front())));
}

// The series that the words ask for. A metric need not be there in every run, but in one of them.
std::vector<RunSeries> series_of(const Reading& reading, const std::vector<RunRow>& runs,
                                 const std::vector<std::string>& names, const PlotArguments& arguments) {
    std::vector<RunSeries> found;
    std::vector<std::string> known;
    for (const auto& run : runs) {
        auto metrics = read_metrics(reading.workspace.store.run_dir(run.id), {names, arguments.rank, {}});
        known.insert(known.end(), metrics.names.begin(), metrics.names.end());
        for (auto& series : metrics.series) found.push_back({&run, std::move(series)});
    }
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    for (const auto& name : names)
        if (!matches_any(name, known)) refuse_metric(ids_of(runs), name, known);
    std::erase_if(found, [](const RunSeries& it) { return it.series.points.empty(); });
    return found;
}

// What all curves have in common is not said of each. True: that is the metric.
bool label_curves(std::vector<Curve>& curves, const std::vector<RunSeries>& series) {
    auto alike = [&](auto&& of) {
        return std::all_of(series.begin(), series.end(), [&](const auto& it) { return of(it) == of(series.front()); });
    };
    const bool one_run = alike([](const RunSeries& it) { return it.run->id; });
    const bool one_metric = alike([](const RunSeries& it) { return it.series.label; });
    for (std::size_t i = 0; i < series.size(); ++i) {
        const std::string metric = printable(series[i].series.label), run = name_of(*series[i].run);
        curves[i].label = one_run && !one_metric ? metric : one_metric && !one_run ? run : metric + " " + run;
    }
    return one_metric && !one_run;
}

Figure figure_of(const Reading& reading, const std::vector<RunSeries>& series, const PlotArguments& arguments) {
    Figure figure;
    for (const auto& it : series)
        figure.curves.push_back(curve_of(it, arguments, start_of(reading.workspace.store.run_dir(it.run->id))));
    if (label_curves(figure.curves, series)) figure.y_label = printable(series.front().series.label);
    figure.x_label = arguments.axis == "relative" ? "time since the start" : arguments.axis;
    figure.x_axis = arguments.axis == "time"       ? Axis::clock
                    : arguments.axis == "relative" ? Axis::duration
                    : arguments.axis == "step"     ? Axis::whole
                                                   : Axis::number;
    figure.logarithmic = arguments.logarithmic;
    return figure;
}

bool can_be_drawn(const Figure& figure) {
    return std::any_of(figure.curves.begin(), figure.curves.end(), [&](const Curve& curve) {
        return std::any_of(curve.y.begin(), curve.y.end(),
                           [&](double y) { return std::isfinite(y) && (!figure.logarithmic || y > 0); });
    });
}

TextStyle text_style(const PlotArguments& arguments) {
    const Terminal terminal = stdout_terminal();
    TextStyle style{kPlainColumns, kPlainRows, terminal.colour};
    winsize size{};
    if (terminal.is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1)
        style.rows = std::min<std::size_t>(size.ws_row - 1, kMostRows); // the prompt stays below
    if (terminal.width) style.columns = *terminal.width;
    if (arguments.size) style = {std::size_t(arguments.size->first), std::size_t(arguments.size->second), style.colour};
    return style;
}

void write_picture(const Figure& figure, const std::string& file, const PlotArguments& arguments) {
    const auto [width, height] = arguments.size.value_or(kUsualPicture);
    for (int side : {width, height})
        if (side < int(kLeastPicture) || side > int(kMostPicture))
            throw UsageError(fmt::format("a picture has {} to {} pixels, not {}", kLeastPicture, kMostPicture, side),
                             "--size 1200x720");
    const bool svg = file.ends_with(".svg");
    const auto picture = svg ? svg_of(figure, std::size_t(width), std::size_t(height))
                             : png_of(figure, std::size_t(width), std::size_t(height));
    OutputFile out(file);
    out.write(picture);
    out.finish();
}

} // namespace

int plot_metrics(const PlotArguments& arguments) {
    if (arguments.output && !arguments.output->ends_with(".png") && !arguments.output->ends_with(".svg"))
        throw UsageError(fmt::format("cannot make a picture of that kind: '{}'", *arguments.output),
                         "-o wants FILE.png or FILE.svg");
    const Reading reading = read_existing_store(arguments.store);
    auto [runs, names] = split_run_words(reading, arguments.words, arguments.words.size());
    if (names.empty()) names = metric_at_the_end(reading, runs, arguments.words.back());
    const auto series = series_of(reading, runs, names, arguments);
    if (series.size() > kMostCurves)
        throw UsageError(fmt::format("{} curves are too many for one plot", series.size()),
                         "name fewer metrics or runs");
    const auto why = [&](const char* what) { return Error(fmt::format("there is nothing to plot: {}", what)); };
    if (series.empty()) throw why("no points of that rank");
    const Figure figure = figure_of(reading, series, arguments);
    if (std::all_of(figure.curves.begin(), figure.curves.end(), [](const Curve& it) { return it.x.empty(); }))
        throw Error(fmt::format("there is nothing to plot: no point tells its {}", arguments.axis), "-x step");
    if (!can_be_drawn(figure))
        throw why(arguments.logarithmic ? "no value is above zero" : "every value is NaN or infinite");
    if (arguments.output)
        write_picture(figure, *arguments.output, arguments);
    else
        print_out(text_plot(figure, text_style(arguments)));
    return 0;
}

} // namespace poster
