// Pictures made of pixels.

#include <algorithm>
#include <cmath>

#include "draw.hpp"
#include "font.hpp"
#include "png.hpp"

namespace poster {

namespace {

class PixelCanvas : public Canvas {
public:
    PixelCanvas(std::size_t width, std::size_t height)
        : width_(std::int64_t(width)), height_(std::int64_t(height)), pixels_(width * height * 3, 0xff),
          coverage_(width * height) {}

    // Upright and level ones only, on whole pixels: they stay sharp.
    void line(Vertex from, Vertex to, Rgb colour) override {
        const auto x = std::int64_t(from.x), y = std::int64_t(from.y);
        for (std::int64_t i = 0; i <= std::llround(to.x - from.x); ++i) blend(x + i, y, colour, 1);
        for (std::int64_t i = 0; i <= std::llround(to.y - from.y); ++i) blend(x, y + i, colour, 1);
    }

    // All of a curve is one shape: where its parts overlap it is no darker.
    void curve(const std::vector<Polyline>& lines, Rgb colour, double width, double opacity) override {
        for (const auto& line : lines) {
            if (line.size() == 1) cover(line[0], line[0], width + 1);
            for (std::size_t i = 1; i < line.size(); ++i) cover(line[i - 1], line[i], width);
        }
        for (std::int64_t y = 0; y < height_; ++y)
            for (std::int64_t x = 0; x < width_; ++x)
                if (float& part = coverage_[place(x, y)]; part > 0) {
                    blend(x, y, colour, part * opacity);
                    part = 0;
                }
    }

    void text(double x, double baseline, const std::string& text, Anchor anchor, Rgb colour) override {
        const double width = text_width(text);
        double begin = anchor == Anchor::left ? x : anchor == Anchor::middle ? x - width / 2 : x - width;
        const auto top = std::int64_t(std::llround(baseline)) - kAscent;
        for (std::string_view rest = text; !rest.empty();) {
            const Glyph& glyph = glyph_of(take_letter(rest));
            const std::int64_t left = std::llround(begin) + glyph.left;
            for (std::size_t i = 0; i < glyph.coverage.size(); ++i) {
                const char digit = glyph.coverage[i];
                const int part = digit <= '9' ? digit - '0' : digit - 'a' + 10;
                blend(left + std::int64_t(i) % glyph.width, top + glyph.top + std::int64_t(i) / glyph.width, colour,
                      part / 15.);
            }
            begin += glyph.advance;
        }
    }

    std::string png() const { return png_of(pixels_, std::size_t(width_), std::size_t(height_)); }

private:
    static constexpr std::int64_t kAscent = 14; // from the top of a line to the base of its letters

    std::size_t place(std::int64_t x, std::int64_t y) const { return std::size_t(y * width_ + x); }

    void blend(std::int64_t x, std::int64_t y, Rgb colour, double part) {
        if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
        for (std::size_t i = 0; i < 3; ++i) {
            unsigned char& channel = pixels_[place(x, y) * 3 + i];
            const double wanted = colour >> (16 - 8 * i) & 0xff;
            channel = static_cast<unsigned char>(std::lround(channel + (wanted - channel) * part));
        }
    }

    // A segment with round ends: each pixel is covered by how near its centre is.
    void cover(Vertex from, Vertex to, double width) {
        const double reach = width / 2 + 0.5;
        const double dx = to.x - from.x, dy = to.y - from.y, square = dx * dx + dy * dy;
        auto bound = [](double at, std::int64_t most) {
            return std::clamp<std::int64_t>(std::int64_t(at), 0, most - 1);
        };
        const std::int64_t right = bound(std::max(from.x, to.x) + reach, width_);
        const std::int64_t bottom = bound(std::max(from.y, to.y) + reach, height_);
        for (std::int64_t y = bound(std::min(from.y, to.y) - reach, height_); y <= bottom; ++y) {
            for (std::int64_t x = bound(std::min(from.x, to.x) - reach, width_); x <= right; ++x) {
                const double px = double(x) + 0.5 - from.x, py = double(y) + 0.5 - from.y;
                const double along = square > 0 ? std::clamp((px * dx + py * dy) / square, 0., 1.) : 0;
                const double away = std::hypot(px - along * dx, py - along * dy);
                const auto part = float(std::clamp(reach - away, 0., 1.));
                float& covered = coverage_[place(x, y)];
                covered = std::max(covered, part);
            }
        }
    }

    std::int64_t width_, height_;
    std::vector<unsigned char> pixels_;
    std::vector<float> coverage_; // of the curve being drawn
};

} // namespace

std::string png_of(const Figure& figure, std::size_t width, std::size_t height) {
    PixelCanvas canvas(width, height);
    draw(figure, canvas, width, height);
    return canvas.png();
}

} // namespace poster
