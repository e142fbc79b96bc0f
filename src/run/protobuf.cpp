#include "protobuf.hpp"

#include <bit>

namespace poster {

bool ProtoReader::read_varint(std::uint64_t& number) {
    number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (rest_.empty()) return false;
        const auto byte = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        number |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

bool ProtoReader::read_fixed(std::size_t width) {
    if (rest_.size() < width) return false;
    number_ = little_endian(rest_.substr(0, width));
    rest_.remove_prefix(width);
    return true;
}

bool ProtoReader::next() {
    std::uint64_t key = 0;
    type_ = Type::none;
    if (rest_.empty() || !read_varint(key)) return false;
    field_ = static_cast<std::uint32_t>(key >> 3U);
    const auto type = static_cast<Type>(key & 7U);
    bool good = false;
    switch (type) {
    case Type::varint: good = read_varint(number_); break;
    case Type::fixed64: good = read_fixed(8); break;
    case Type::fixed32: good = read_fixed(4); break;
    case Type::bytes:
        good = read_varint(number_) && number_ <= rest_.size();
        if (!good) break;
        bytes_ = rest_.substr(0, number_);
        rest_.remove_prefix(number_);
        break;
    default: break; // groups, which nobody uses any more
    }
    if (!good) {
        rest_ = {};
        return false;
    }
    type_ = type;
    return true;
}

double ProtoReader::as_double() const {
    return type_ == Type::fixed64 ? std::bit_cast<double>(number_) : 0;
}

float ProtoReader::as_float() const {
    return type_ == Type::fixed32 ? std::bit_cast<float>(static_cast<std::uint32_t>(number_)) : 0;
}

std::uint64_t little_endian(std::string_view bytes) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < bytes.size() && i < 8; ++i)
        number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    return number;
}

void append_little_endian(std::string& text, std::uint64_t number, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) text.push_back(static_cast<char>((number >> (8 * i)) & 0xFFU));
}

void ProtoWriter::varint(std::uint64_t number) {
    for (; number >= 0x80; number >>= 7U) text_.push_back(static_cast<char>((number & 0x7FU) | 0x80U));
    text_.push_back(static_cast<char>(number));
}

ProtoWriter& ProtoWriter::integer(std::uint32_t field, std::uint64_t number) {
    varint(static_cast<std::uint64_t>(field) << 3U);
    varint(number);
    return *this;
}

ProtoWriter& ProtoWriter::real(std::uint32_t field, double number) {
    varint((static_cast<std::uint64_t>(field) << 3U) | 1U);
    append_little_endian(text_, std::bit_cast<std::uint64_t>(number), 8);
    return *this;
}

ProtoWriter& ProtoWriter::real32(std::uint32_t field, float number) {
    varint((static_cast<std::uint64_t>(field) << 3U) | 5U);
    append_little_endian(text_, std::bit_cast<std::uint32_t>(number), 4);
    return *this;
}

ProtoWriter& ProtoWriter::bytes(std::uint32_t field, std::string_view bytes) {
    varint((static_cast<std::uint64_t>(field) << 3U) | 2U);
    varint(bytes.size());
    text_.append(bytes);
    return *this;
}

} // namespace poster
