// Pictures made of shapes.

#include <iterator>

#include <fmt/format.h>

#include <text.hpp>

#include "draw.hpp"

namespace poster {

namespace {

std::string escaped(const std::string& text) {
    std::string out;
    for (char c : valid_utf8(text)) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        default: out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c; // XML has no control characters
        }
    }
    return out;
}

class SvgCanvas : public Canvas {
public:
    SvgCanvas(std::size_t width, std::size_t height) {
        put("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
            "font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"14\">\n"
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            width, height);
    }

    void line(Vertex from, Vertex to, Rgb colour) override {
        put("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"#{:06x}\"/>\n", from.x, from.y, to.x, to.y, colour);
    }
    void curve(const std::vector<Polyline>& lines, Rgb colour, double width, double opacity) override {
        put("<path fill=\"none\" stroke=\"#{:06x}\" stroke-width=\"{}\" stroke-opacity=\"{}\" "
            "stroke-linejoin=\"round\" "
            "stroke-linecap=\"round\" d=\"",
            colour, width, opacity);
        for (const auto& line : lines) {
            for (const auto& point : line)
                put("{}{:.1f} {:.1f}", &point == &line.front() ? 'M' : 'L', point.x, point.y);
            if (line.size() == 1) out_ += "h0"; // a dot: its caps
        }
        out_ += "\"/>\n";
    }
    void text(double x, double baseline, const std::string& text, Anchor anchor, Rgb colour) override {
        const char* where = anchor == Anchor::left ? "start" : anchor == Anchor::middle ? "middle" : "end";
        put("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"#{:06x}\">{}</text>\n", x, baseline, where,
            colour, escaped(text));
    }
    std::string take() { return std::move(out_.append("</svg>\n")); }

private:
    template <typename... Values>
    void put(fmt::format_string<Values...> form, Values&&... values) {
        fmt::format_to(std::back_inserter(out_), form, std::forward<Values>(values)...);
    }

    std::string out_;
};

} // namespace

std::string svg_of(const Figure& figure, std::size_t width, std::size_t height) {
    SvgCanvas canvas(width, height);
    draw(figure, canvas, width, height);
    return canvas.take();
}

} // namespace poster
