#include <cmath>

#include <catch2/catch.hpp>
#include <zlib.h>

#include <draw.hpp>
#include <figure.hpp>
#include <png.hpp>
#include <text.hpp>
#include <text_plot.hpp>
#include <ticks.hpp>

using namespace poster;

namespace {

const double kNan = std::nan("");

std::string labels_of(const std::vector<Tick>& ticks) {
    std::string all;
    for (const auto& tick : ticks) all += (all.empty() ? "" : " ") + tick.label;
    return all;
}

Figure figure_of(std::vector<std::vector<double>> values) {
    Figure figure;
    for (auto& y : values) {
        Curve curve{"curve", {}, std::move(y), {}};
        for (std::size_t i = 0; i < curve.y.size(); ++i) curve.x.push_back(double(i));
        figure.curves.push_back(std::move(curve));
    }
    return figure;
}

std::vector<std::string> lines_of(const std::string& text) {
    return split(text, '\n');
}

std::uint32_t number_at(const std::string& bytes, std::size_t at) {
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
    return number;
}

// The pixels of a picture of our own, its checksums checked; the first three bytes per pixel are RGB.
std::string decoded(const std::string& png, std::size_t& width, std::size_t& height) {
    REQUIRE(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
    std::string packed, type;
    for (std::size_t at = 8; type != "IEND";) {
        const std::size_t size = number_at(png, at);
        type = png.substr(at + 4, 4);
        const std::string content = png.substr(at + 8, size);
        const auto sum = ::crc32(0, reinterpret_cast<const Bytef*>(png.data() + at + 4), uInt(size + 4));
        REQUIRE(number_at(png, at + 8 + size) == sum);
        if (type == "IHDR") width = number_at(content, 0), height = number_at(content, 4);
        if (type == "IDAT") packed += content;
        at += 12 + size;
        if (type == "IEND") CHECK(at == png.size());
    }
    std::string rows(height * (width * 3 + 1), '\0'), pixels;
    auto size = uLongf(rows.size());
    REQUIRE(::uncompress(reinterpret_cast<Bytef*>(rows.data()), &size, reinterpret_cast<const Bytef*>(packed.data()),
                         packed.size()) == Z_OK);
    REQUIRE(size == rows.size());
    for (std::size_t y = 0; y < height; ++y) {
        REQUIRE(rows[y * (width * 3 + 1)] == '\0');
        pixels += rows.substr(y * (width * 3 + 1) + 1, width * 3);
    }
    return pixels;
}

} // namespace

TEST_CASE("an axis is marked at round numbers, all written alike") {
    auto [low, high, most, labels] = GENERATE(table<double, double, std::size_t, std::string>({
        {0, 10, 5, "0 2 4 6 8 10"},
        {0, 1, 4, "0 0.5 1.0"},
        {0.013, 0.094, 5, "0.02 0.04 0.06 0.08"},
        {-3, 3, 6, "-3 -2 -1 0 1 2 3"},
        {0, 200000, 4, "0 50k 100k 150k 200k"},
        {0, 3e6, 6, "0 0.5M 1.0M 1.5M 2.0M 2.5M 3.0M"},
        {1e-7, 4e-7, 3, "1e-7 2e-7 3e-7 4e-7"},
        {0, 2e20, 2, "0 1e20 2e20"},
        {999, 1001, 4, "999.0 999.5 1000.0 1000.5 1001.0"},
    }));
    CHECK(labels_of(number_ticks({low, high}, most)) == labels);
}

TEST_CASE("an axis of steps is marked at whole numbers") {
    CHECK(labels_of(ticks_of(Axis::whole, {1, 4}, 6)) == "1 2 3 4");
    CHECK(labels_of(ticks_of(Axis::whole, {0, 100}, 5)) == "0 20 40 60 80 100");
    CHECK(labels_of(ticks_of(Axis::whole, {0.5, 1.5}, 5)) == "1");
}

TEST_CASE("a logarithmic axis is marked at powers of ten, or finer where there are few") {
    auto [low, high, labels] = GENERATE(table<double, double, std::string>({
        {1e-3, 1e2, "0.001 0.01 0.1 1 10 100"},
        {0.1, 3, "0.1 0.2 0.5 1 2"},
        {1e-8, 1e-5, "1e-8 1e-7 1e-6 1e-5"},
        {0.41, 0.46, "0.42 0.44 0.46"},
    }));
    CHECK(labels_of(logarithmic_ticks({std::log10(low), std::log10(high)}, 6)) == labels);
}

TEST_CASE("durations are marked at round minutes and hours") {
    auto [high, labels] = GENERATE(table<double, std::string>({
        {1.5, "0 0.5s 1.0s 1.5s"},
        {60, "0 15s 30s 45s 1m"},
        {5400, "0 30m 1h 1h30m"},
        {4 * 86400, "0 1d 2d 3d 4d"},
    }));
    CHECK(labels_of(duration_ticks({0, high}, 4)) == labels);
}

TEST_CASE("an axis of any range ends, and has few marks") {
    auto [low, high] = GENERATE(table<double, double>(
        {{-1e300, 1e300}, {1e-300, 2e-300}, {1e15, 1e15 + 4}, {0, 5e-324}, {1764075000, 1764075000.5}, {0, 1e12}}));
    for (Axis axis : {Axis::number, Axis::clock, Axis::duration})
        if (axis != Axis::clock || high < 1e11) CHECK(ticks_of(axis, {low, high}, 5).size() <= 12);
}

TEST_CASE("smoothing corrects its start, and keeps gaps") {
    const auto out = smoothed({1, 1, kNan, 1, 4}, 0.5);
    CHECK(out[0] == 1);
    CHECK(out[1] == 1);
    CHECK(std::isnan(out[2]));
    CHECK(out[3] == 1);
    CHECK(out[4] == Approx((0.5 * 0.875 + 0.5 * 4) / 0.9375));
}

TEST_CASE("of a million points no spike is lost, and few remain") {
    std::vector<double> x(1'000'000), y(x.size(), 1.0);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = double(i);
    y[123'456] = 100;
    y[765'432] = -100;
    const auto lines = reduced(x, y, {0, 999'999}, {-100, 100}, 160, false);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].size() <= 161 * 4);
    double lowest = 1, highest = 0;
    for (const auto& point : lines[0]) lowest = std::min(lowest, point.y), highest = std::max(highest, point.y);
    CHECK(lowest == 0);
    CHECK(highest == 1);
}

TEST_CASE("what is not finite, or has no logarithm, is a gap") {
    auto [y, logarithmic, sizes] = GENERATE(table<std::vector<double>, bool, std::vector<std::size_t>>({
        {{1, 2, 3}, false, {3}},
        {{1, kNan, 3}, false, {1, 1}},
        {{kNan, 1, 2, HUGE_VAL, -HUGE_VAL, 3}, false, {2, 1}},
        {{1, 0, 3, 4, -1}, true, {1, 2}},
        {{kNan}, false, {}},
    }));
    Figure figure = figure_of({y});
    figure.logarithmic = logarithmic;
    const auto lines = reduced(figure.curves[0].x, y, x_range(figure), y_range(figure), std::size_t(100), logarithmic);
    std::vector<std::size_t> found;
    for (const auto& line : lines) found.push_back(line.size());
    CHECK(found == sizes);
}

TEST_CASE("a constant, a single point and huge values can be drawn") {
    const auto& values =
        GENERATE(std::vector<double>{5, 5, 5}, std::vector<double>{0}, std::vector<double>{-1.7e308, 1.7e308},
                 std::vector<double>{kNan}, std::vector<double>{});
    const Figure figure = figure_of({values});
    CHECK(lines_of(text_plot(figure, {60, 12, false})).size() == 12);
    CHECK(svg_of(figure, 400, 300).ends_with("</svg>\n"));
    CHECK(!png_of(figure, 400, 300).empty());
}

TEST_CASE("a plot in the terminal fills its size, and no line is longer") {
    const auto columns = GENERATE(10u, 40u, 80u, 131u, 300u);
    const auto rows = GENERATE(6u, 20u, 60u);
    const bool colour = GENERATE(false, true);
    Figure figure = figure_of({{1, 2, 3, 2, 1000}, {4, 3, 2, 1, 0.001}});
    figure.x_label = "step";
    figure.y_label = "loss";
    for (Axis axis : {Axis::number, Axis::clock, Axis::duration}) {
        figure.x_axis = axis;
        const std::string text = text_plot(figure, {columns, rows, colour});
        CHECK((text.find('\033') != std::string::npos) == colour);
        if (colour) continue; // the width of colours is not known to display_width
        const auto lines = lines_of(text);
        if (columns >= 40) CHECK(lines.size() == rows);
        for (const auto& line : lines) CHECK(display_width(line) <= std::max(columns, 16u));
    }
}

TEST_CASE("a rising line of dots rises") {
    Figure figure = figure_of({{0, 1, 2, 3, 4, 5, 6, 7}});
    figure.y_label = "y";
    figure.x_label = "x";
    CHECK(text_plot(figure, {24, 7, false}) == "━━ curve               y\n"
                                               " │                ⢀⣀⠤⠔⠒⠉\n"
                                               "5┤           ⣀⠤⠔⠒⠉⠁\n"
                                               " │     ⢀⣀⠤⠔⠒⠉\n"
                                               "0┤⣀⠤⠔⠒⠉⠁\n"
                                               " └┬──────────────┬──────\n"
                                               "  0              5     x\n");
}

TEST_CASE("a smoothed curve stands before what it was") {
    Figure figure = figure_of({{1, 1, 1, 1}});
    figure.curves[0].raw = {0, 2, 0, 2};
    const std::string text = text_plot(figure, {40, 10, true});
    CHECK(text.find("\033[2;36m") != std::string::npos);
    CHECK(text.find("\033[36m⠒⠒⠒") != std::string::npos);
    CHECK(text_plot(figure, {40, 10, false}).find("\033") == std::string::npos);
}

TEST_CASE("a PNG holds the pixels that it was made of") {
    std::vector<unsigned char> pixels(7 * 5 * 3);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<unsigned char>(i * 7);
    std::size_t width = 0, height = 0;
    const std::string back = decoded(png_of(pixels, 7, 5), width, height);
    CHECK(width == 7);
    CHECK(height == 5);
    CHECK(back == std::string(pixels.begin(), pixels.end()));
}

TEST_CASE("a picture shows its curve in its colour, and its letters") {
    Figure figure = figure_of({{0, 1}});
    std::size_t width = 0, height = 0;
    const std::string pixels = decoded(png_of(figure, 400, 300), width, height);
    std::size_t blue = 0, text = 0;
    for (std::size_t i = 0; i + 2 < pixels.size(); i += 3) {
        blue += pixels.substr(i, 3) == "\x1f\x77\xb4";
        text += pixels.substr(i, 3) == "\x33\x33\x33";
    }
    CHECK(blue > 300); // the diagonal and its sign in the legend
    CHECK(text > 50);
}

TEST_CASE("text in an SVG is escaped") {
    Figure figure = figure_of({{0, 1}});
    figure.curves[0].label = "a<b & \"c\"\x01";
    const std::string svg = svg_of(figure, 400, 300);
    CHECK(svg.find(">a&lt;b &amp; \"c\" </text>") != std::string::npos);
}
