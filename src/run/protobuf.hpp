#pragma once
// The wire format of protocol buffers: fields by number, without a schema.

#include <cstdint>
#include <string>
#include <string_view>

namespace poster {

// The fields of one message, in the order in which they stand. Never reads beyond its bytes, whatever they are.
class ProtoReader {
public:
    explicit ProtoReader(std::string_view message) : rest_(message) {}

    bool next(); // false: the end, or bytes that are no message
    std::uint32_t field() const { return field_; }
    // Of the field that next() found; 0 or empty where it is of another type.
    std::uint64_t integer() const { return type_ == Type::varint ? number_ : 0; }
    std::int64_t signed_integer() const { return static_cast<std::int64_t>(integer()); }
    double as_double() const; // of a fixed64
    float as_float() const;   // of a fixed32
    bool is_bytes() const { return type_ == Type::bytes; }
    std::string_view bytes() const { return is_bytes() ? bytes_ : std::string_view{}; }

private:
    enum class Type { none = -1, varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
    bool read_varint(std::uint64_t& number);
    bool read_fixed(std::size_t width);

    std::string_view rest_, bytes_;
    std::uint32_t field_ = 0;
    Type type_ = Type::none;
    std::uint64_t number_ = 0;
};

std::uint64_t little_endian(std::string_view bytes); // of at most 8 bytes

class ProtoWriter {
public:
    ProtoWriter& integer(std::uint32_t field, std::uint64_t number);
    ProtoWriter& real(std::uint32_t field, double number);
    ProtoWriter& real32(std::uint32_t field, float number);
    ProtoWriter& bytes(std::uint32_t field, std::string_view bytes);
    const std::string& text() const { return text_; }

private:
    void varint(std::uint64_t number);
    std::string text_;
};

void append_little_endian(std::string& text, std::uint64_t number, std::size_t width);

} // namespace poster
