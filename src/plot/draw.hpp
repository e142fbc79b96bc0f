#pragma once
// A figure as a picture: where everything stands, on any kind of canvas.

#include <cstdint>
#include <string>

#include "figure.hpp"

namespace poster {

using Rgb = std::uint32_t; // 0xRRGGBB

enum class Anchor { left, middle, right };

// Coordinates are pixels from the top left corner; letters are those of font.hpp.
class Canvas {
public:
    virtual ~Canvas() = default;
    virtual void line(Vertex from, Vertex to, Rgb colour) = 0; // one pixel wide
    virtual void curve(const std::vector<Polyline>& lines, Rgb colour, double width, double opacity) = 0;
    virtual void text(double x, double baseline, const std::string& text, Anchor anchor, Rgb colour) = 0;
};

void draw(const Figure& figure, Canvas& canvas, std::size_t width, std::size_t height);

std::string svg_of(const Figure& figure, std::size_t width, std::size_t height);
std::string png_of(const Figure& figure, std::size_t width, std::size_t height);

} // namespace poster
