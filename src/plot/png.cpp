#include "png.hpp"

#include <zlib.h>

#include <string_view>

#include <error.hpp>

namespace poster {

namespace {

constexpr std::size_t kBytesPerPixel = 3;
constexpr int kCompression = 6;

void put_number(std::string& out, std::size_t value) {
    for (int shift : {24, 16, 8, 0}) out += char(value >> shift & 0xff);
}

void put_chunk(std::string& out, std::string_view type, std::string_view content) {
    put_number(out, content.size());
    const std::size_t begin = out.size();
    out.append(type).append(content);
    put_number(out, ::crc32(0, reinterpret_cast<const Bytef*>(out.data() + begin), uInt(out.size() - begin)));
}

std::string deflated(const std::string& bytes) {
    auto size = ::compressBound(bytes.size());
    std::string out(size, '\0');
    if (::compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                    bytes.size(), kCompression) != Z_OK)
        throw Error("cannot compress the picture");
    out.resize(size);
    return out;
}

} // namespace

std::string png_of(const std::vector<unsigned char>& pixels, std::size_t width, std::size_t height) {
    std::string rows;
    rows.reserve(height * (width * kBytesPerPixel + 1));
    for (std::size_t y = 0; y < height; ++y) {
        rows += '\0'; // no filter
        const auto* row = reinterpret_cast<const char*>(pixels.data()) + y * width * kBytesPerPixel;
        rows.append(row, width * kBytesPerPixel);
    }
    std::string header;
    put_number(header, width);
    put_number(header, height);
    header += {8, 2, 0, 0, 0}; // bits, RGB, deflate, filters by row, not interlaced
    std::string out = "\x89PNG\r\n\x1a\n";
    put_chunk(out, "IHDR", header);
    put_chunk(out, "IDAT", deflated(rows));
    put_chunk(out, "IEND", "");
    return out;
}

} // namespace poster
