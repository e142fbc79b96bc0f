#include "image_header.hpp"

#include <array>
#include <fstream>
#include <string_view>

namespace poster {

namespace {

using Bytes = std::array<unsigned char, 32>;

int big_endian(const unsigned char* at, int count) {
    unsigned number = 0;
    while (count-- > 0) number = number << 8 | *at++;
    return int(number);
}

int little_endian(const unsigned char* at, int count) {
    unsigned number = 0;
    while (count-- > 0) number = number << 8 | at[count];
    return int(number);
}

// A row of segments: FF, type, length, content. The size stands in the first "start of frame".
void read_jpeg(std::ifstream& file, ImageHeader& header) {
    std::array<unsigned char, 9> segment{};
    std::streamoff at = 2;
    while (file.seekg(at) && file.read(reinterpret_cast<char*>(segment.data()), segment.size())) {
        const unsigned type = segment[1];
        if (segment[0] != 0xFF) return;
        if (type >= 0xC0 && type <= 0xCF && type != 0xC4 && type != 0xC8 && type != 0xCC) {
            header.height = big_endian(&segment[5], 2);
            header.width = big_endian(&segment[7], 2);
            return;
        }
        at += type == 0xFF ? 1 : 2 + big_endian(&segment[2], 2);
    }
}

// Of the three kinds of WebP.
void read_webp(const Bytes& head, std::string_view kind, ImageHeader& header) {
    if (kind == "VP8 ") {
        header.width = little_endian(&head[26], 2) & 0x3FFF;
        header.height = little_endian(&head[28], 2) & 0x3FFF;
    } else if (kind == "VP8L") {
        const auto bits = unsigned(little_endian(&head[21], 4));
        header.width = int(bits & 0x3FFF) + 1;
        header.height = int(bits >> 14 & 0x3FFF) + 1;
    } else if (kind == "VP8X") {
        header.width = little_endian(&head[24], 3) + 1;
        header.height = little_endian(&head[27], 3) + 1;
    }
}

} // namespace

std::optional<ImageHeader> read_image_header(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    Bytes head{};
    file.read(reinterpret_cast<char*>(head.data()), head.size());
    const std::string_view text(reinterpret_cast<const char*>(head.data()), std::size_t(file.gcount()));
    file.clear();
    if (text.size() >= 24 && text.starts_with("\x89PNG\r\n\x1a\n"))
        return ImageHeader{"png", big_endian(&head[16], 4), big_endian(&head[20], 4)};
    if (text.size() >= 10 && (text.starts_with("GIF87a") || text.starts_with("GIF89a")))
        return ImageHeader{"gif", little_endian(&head[6], 2), little_endian(&head[8], 2)};
    if (text.size() >= 26 && text.starts_with("BM"))
        return ImageHeader{"bmp", little_endian(&head[18], 4), std::abs(little_endian(&head[22], 4))};
    if (text.starts_with("\xFF\xD8\xFF")) {
        ImageHeader header{"jpg"};
        read_jpeg(file, header);
        return header;
    }
    if (text.size() >= 30 && text.starts_with("RIFF") && text.substr(8, 4) == "WEBP") {
        ImageHeader header{"webp"};
        read_webp(head, text.substr(12, 4), header);
        return header;
    }
    return {};
}

} // namespace poster
