#include "font.hpp"

#include <algorithm>
#include <array>

namespace poster {

namespace {

constexpr Glyph kGlyphs[] = {
#include "glyphs.inc"
};
constexpr char32_t kUnknown = 0xfffd;

} // namespace

const Glyph& glyph_of(char32_t letter) {
    const auto* found = std::lower_bound(std::begin(kGlyphs), std::end(kGlyphs), letter,
                                         [](const Glyph& glyph, char32_t wanted) { return glyph.letter < wanted; });
    return found != std::end(kGlyphs) && found->letter == letter ? *found : *std::prev(std::end(kGlyphs));
}

int text_width(std::string_view utf8) {
    int width = 0;
    while (!utf8.empty()) width += glyph_of(take_letter(utf8)).advance;
    return width;
}

char32_t take_letter(std::string_view& utf8) {
    const auto first = static_cast<unsigned char>(utf8[0]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length == 0 || length > utf8.size()) {
        utf8.remove_prefix(1);
        return kUnknown;
    }
    char32_t letter = length == 1 ? first : first & (0x7f >> length);
    for (std::size_t i = 1; i < length; ++i) letter = letter << 6 | (static_cast<unsigned char>(utf8[i]) & 0x3f);
    utf8.remove_prefix(length);
    return letter;
}

} // namespace poster
