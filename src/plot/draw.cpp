#include "draw.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "font.hpp"
#include "ticks.hpp"

namespace poster {

namespace {

constexpr std::array<Rgb, 10> kColours{0x1f77b4, 0xff7f0e, 0x2ca02c, 0xd62728, 0x9467bd,
                                       0x8c564b, 0xe377c2, 0x7f7f7f, 0xbcbd22, 0x17becf};
constexpr Rgb kText = 0x333333, kFrame = 0x666666, kGrid = 0xe4e4e4;
constexpr double kMargin = 16, kGap = 6, kSwatch = 24;
constexpr double kAscent = 14;         // of a line of text
constexpr double kLabelDistance = 100; // of the marks below, at least
constexpr double kRowDistance = 50;    // of those at the left
constexpr double kHeadroom = 0.04;     // above and below the curves, of their height

class Drawing {
public:
    Drawing(const Figure& figure, Canvas& canvas, double width, double height)
        : figure_(figure), canvas_(canvas), width_(width), across_(x_range(figure)), up_(y_range(figure)) {
        const double space = up_.size() * kHeadroom;
        up_ = {up_.low - space, up_.high + space};
        top_ = kMargin + draw_legend() * kLineHeight + kGap;
        bottom_ = height - kMargin - kLineHeight - kGap - (figure.x_label.empty() ? 0 : kLineHeight);
        const auto most = std::size_t(std::max(2., (bottom_ - top_) / kRowDistance));
        rows_ = figure.logarithmic ? logarithmic_ticks(up_, most) : number_ticks(up_, most);
        int widest = 0;
        for (const auto& tick : rows_) widest = std::max(widest, text_width(tick.label));
        left_ = kMargin + widest + kGap;
        right_ = width - 2 * kMargin;
    }

    void draw() {
        draw_rows();
        draw_columns(bottom_ + kGap + kAscent);
        canvas_.line({left_, top_}, {left_, bottom_}, kFrame);
        canvas_.line({left_, bottom_}, {right_, bottom_}, kFrame);
        if (!figure_.x_label.empty())
            canvas_.text((left_ + right_) / 2, bottom_ + kGap + kLineHeight + kAscent, figure_.x_label, Anchor::middle,
                         kText);
        for (std::size_t i = 0; i < figure_.curves.size(); ++i)
            if (!figure_.curves[i].raw.empty()) draw_curve(i, figure_.curves[i].raw, 1.5, 0.3);
        for (std::size_t i = 0; i < figure_.curves.size(); ++i) draw_curve(i, figure_.curves[i].y, 1.8, 1);
    }

private:
    // How many lines it takes.
    double draw_legend() {
        double x = kMargin, lines = 1;
        for (std::size_t i = 0; i < figure_.curves.size(); ++i) {
            const std::string& label = figure_.curves[i].label;
            const double width = kSwatch + kGap + text_width(label) + 3 * kGap;
            if (x > kMargin && x + width > width_ - kMargin) {
                x = kMargin;
                ++lines;
            }
            const double base = kMargin + (lines - 1) * kLineHeight + kAscent;
            canvas_.curve({{{x, base - 5}, {x + kSwatch, base - 5}}}, kColours[i % kColours.size()], 3, 1);
            canvas_.text(x + kSwatch + kGap, base, label, Anchor::left, kText);
            x += width;
        }
        const double width = text_width(figure_.y_label);
        if (!figure_.y_label.empty() && x + width <= width_ - 2 * kMargin)
            canvas_.text(width_ - 2 * kMargin, kMargin + (lines - 1) * kLineHeight + kAscent, figure_.y_label,
                         Anchor::right, kText);
        return lines;
    }

    void draw_rows() {
        for (const auto& tick : rows_) {
            const double y = bottom_ - (tick.at - up_.low) / up_.size() * (bottom_ - top_);
            canvas_.line({left_, y}, {right_, y}, kGrid);
            canvas_.text(left_ - kGap, y + 5, tick.label, Anchor::right, kText);
        }
    }

    void draw_columns(double baseline) {
        const auto most = std::size_t(std::max(2., (right_ - left_) / kLabelDistance));
        for (const auto& tick : ticks_of(figure_.x_axis, across_, most)) {
            const double x = left_ + (tick.at - across_.low) / across_.size() * (right_ - left_);
            canvas_.line({x, top_}, {x, bottom_}, kGrid);
            canvas_.text(x, baseline, tick.label, Anchor::middle, kText);
        }
    }

    void draw_curve(std::size_t number, const std::vector<double>& y, double width, double opacity) {
        const auto columns = std::size_t(std::max(1., right_ - left_));
        auto lines = reduced(figure_.curves[number].x, y, across_, up_, columns, figure_.logarithmic);
        for (auto& line : lines)
            for (auto& point : line) point = {left_ + point.x, bottom_ - point.y * (bottom_ - top_)};
        canvas_.curve(lines, kColours[number % kColours.size()], width, opacity);
    }

    const Figure& figure_;
    Canvas& canvas_;
    double width_, left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
    Range across_, up_;
    std::vector<Tick> rows_;
};

} // namespace

void draw(const Figure& figure, Canvas& canvas, std::size_t width, std::size_t height) {
    Drawing(figure, canvas, double(width), double(height)).draw();
}

} // namespace poster
