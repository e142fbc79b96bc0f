#pragma once
// What kind of image a file is, and how large, from its first bytes.

#include <filesystem>
#include <optional>
#include <string>

namespace poster {

struct ImageHeader {
    std::string format;        // png, jpg, gif, webp, bmp: also the ending of a name
    int width = 0, height = 0; // in pixels; 0: not told
};

std::optional<ImageHeader>
read_image_header(const std::filesystem::path& path); // nullopt: unreadable, or none of these

} // namespace poster
