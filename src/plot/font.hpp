#pragma once
// The letters of pictures made of pixels: DejaVu Sans at one size, as coverage from 0 to 15 per pixel.

#include <string_view>

namespace poster {

struct Glyph {
    char32_t letter;
    signed char advance, left, top, width, height; // pixels; top: of the bitmap below the line's top
    std::string_view coverage;                     // a hexadecimal digit per pixel, row by row
};

inline constexpr int kLineHeight = 18;

// A box, for a letter that is not there.
const Glyph& glyph_of(char32_t letter);
int text_width(std::string_view utf8); // pixels
// Takes the first letter off; U+FFFD for what is no UTF-8.
char32_t take_letter(std::string_view& utf8);

} // namespace poster
