#pragma once
// A PNG file of 8-bit RGB pixels.

#include <cstddef>
#include <string>
#include <vector>

namespace poster {

// `pixels`: red, green, blue of each, row by row from the top.
std::string png_of(const std::vector<unsigned char>& pixels, std::size_t width, std::size_t height);

} // namespace poster
