#pragma once
// A figure as lines of text: braille dots where one colour each tells the curves apart, a letter per curve where there
// are no colours.

#include <string>

#include "figure.hpp"

namespace poster {

struct TextStyle {
    std::size_t columns = 80, rows = 20; // of all, axes and legend too
    bool colour = false;
};

std::string text_plot(const Figure& figure, const TextStyle& style);

} // namespace poster
