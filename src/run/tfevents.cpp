#include "tfevents.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>

#include <crc32.hpp>
#include <error.hpp>

#include "protobuf.hpp"

namespace poster {

namespace {

constexpr std::size_t kHeader = 12; // a length of 8 bytes, its checksum
constexpr std::size_t kFooter = 4;
constexpr std::uint64_t kLongest = 256U << 20U; // of a record that is believed to be one
constexpr std::size_t kChunk = 256U << 10U;
constexpr std::uint64_t kMostElements = 1;

std::uint32_t masked(std::string_view bytes) {
    const std::uint32_t crc = crc32c(bytes);
    return ((crc >> 15U) | (crc << 17U)) + 0xA282EAD8U;
}

bool checks(std::string_view bytes, std::string_view mask) {
    return masked(bytes) == little_endian(mask);
}

// ---- tensors

enum DataType : std::uint64_t {
    kFloat = 1,
    kDouble = 2,
    kInt32 = 3,
    kUint8 = 4,
    kInt16 = 5,
    kInt8 = 6,
    kString = 7,
    kInt64 = 9,
    kBool = 10,
    kBfloat16 = 14,
    kUint16 = 17,
    kHalf = 19,
    kUint32 = 22,
    kUint64 = 23
};

float half(std::uint64_t bits) {
    const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
    const int exponent = static_cast<int>((bits >> 10U) & 0x1FU);
    const double fraction = static_cast<double>(bits & 0x3FFU);
    if (exponent == 31) return static_cast<float>(fraction == 0 ? sign * INFINITY : NAN);
    if (exponent == 0) return static_cast<float>(sign * std::ldexp(fraction, -24));
    return static_cast<float>(sign * std::ldexp(1024 + fraction, exponent - 25));
}

// `bits` is a varint of the message, or the bytes of tensor_content.
std::optional<double> number_of_bits(std::uint64_t type, std::uint64_t bits) {
    switch (type) {
    case kFloat: return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    case kDouble: return std::bit_cast<double>(bits);
    case kInt32: return static_cast<std::int32_t>(bits);
    case kInt16: return static_cast<std::int16_t>(bits);
    case kInt8: return static_cast<std::int8_t>(bits);
    case kInt64: return static_cast<double>(static_cast<std::int64_t>(bits));
    case kUint8: return static_cast<std::uint8_t>(bits);
    case kUint16: return static_cast<std::uint16_t>(bits);
    case kUint32: return static_cast<std::uint32_t>(bits);
    case kUint64: return static_cast<double>(bits);
    case kBool: return bits != 0 ? 1 : 0;
    case kHalf: return half(bits & 0xFFFFU);
    case kBfloat16: return std::bit_cast<float>(static_cast<std::uint32_t>(bits << 16U));
    default: return std::nullopt;
    }
}

std::size_t width_of(std::uint64_t type) {
    switch (type) {
    case kDouble:
    case kInt64:
    case kUint64: return 8;
    case kFloat:
    case kInt32:
    case kUint32: return 4;
    case kInt16:
    case kUint16:
    case kHalf:
    case kBfloat16: return 2;
    default: return 1;
    }
}

struct Tensor {
    std::uint64_t type = 0;
    std::uint64_t elements = 1;
    std::string_view content;
    std::optional<std::uint64_t> bits; // of the first element
    std::vector<std::string_view> strings;
};

std::uint64_t elements_of_shape(std::string_view shape) {
    std::uint64_t elements = 1;
    for (ProtoReader it(shape); it.next();) {
        if (it.field() != 2) continue;
        std::uint64_t size = 0;
        for (ProtoReader dimension(it.bytes()); dimension.next();)
            if (dimension.field() == 1) size = dimension.integer();
        elements = size != 0 && elements > kMostElements ? elements : elements * size;
    }
    return elements;
}

// A repeated field is packed, or stands as one field for each element.
void read_element(Tensor& tensor, const ProtoReader& it) {
    if (tensor.bits) return;
    const bool is_float = it.field() == 5;
    const bool is_double = it.field() == 6;
    if (!it.is_bytes()) {
        if (is_float)
            tensor.bits = std::bit_cast<std::uint32_t>(it.as_float());
        else if (is_double)
            tensor.bits = std::bit_cast<std::uint64_t>(it.as_double());
        else
            tensor.bits = it.integer();
        return;
    }
    if (is_float || is_double) {
        const std::size_t width = is_float ? 4 : 8;
        if (it.bytes().size() >= width) tensor.bits = little_endian(it.bytes().substr(0, width));
        return;
    }
    const std::string as_field = std::string(1, '\x08').append(it.bytes());
    ProtoReader packed(as_field);
    if (packed.next()) tensor.bits = packed.integer();
}

Tensor parse_tensor(std::string_view message) {
    Tensor tensor;
    for (ProtoReader it(message); it.next();) {
        switch (it.field()) {
        case 1: tensor.type = it.integer(); break;
        case 2: tensor.elements = elements_of_shape(it.bytes()); break;
        case 4: tensor.content = it.bytes(); break;
        case 5:
        case 6:
        case 7:
        case 10:
        case 11:
        case 13:
        case 16:
        case 17: read_element(tensor, it); break;
        case 8: tensor.strings.push_back(it.bytes()); break;
        default: break;
        }
    }
    return tensor;
}

std::optional<double> scalar_of(const Tensor& tensor) {
    if (tensor.elements != 1) return std::nullopt;
    const std::size_t width = width_of(tensor.type);
    if (tensor.content.size() == width) return number_of_bits(tensor.type, little_endian(tensor.content));
    // What a message leaves out is zero.
    return tensor.content.empty() ? number_of_bits(tensor.type, tensor.bits.value_or(0)) : std::nullopt;
}

int small_number(std::string_view digits) {
    int number = 0;
    for (const char digit : digits)
        if (digit >= '0' && digit <= '9' && number < 1'000'000) number = number * 10 + (digit - '0');
    return number;
}

// ---- summaries

std::string plugin_of(std::string_view metadata) {
    for (ProtoReader it(metadata); it.next();) {
        if (it.field() != 1) continue;
        for (ProtoReader plugin(it.bytes()); plugin.next();)
            if (plugin.field() == 1) return std::string(plugin.bytes());
    }
    return {};
}

TfImage parse_image(std::string tag, std::string_view message) {
    TfImage image;
    image.tag = std::move(tag);
    for (ProtoReader it(message); it.next();) {
        if (it.field() == 1) image.height = static_cast<int>(it.integer());
        if (it.field() == 2) image.width = static_cast<int>(it.integer());
        if (it.field() == 4) image.bytes = it.bytes();
    }
    return image;
}

void parse_tensor_value(TfEvent& event, std::string tag, const std::string& plugin, std::string_view message) {
    const Tensor tensor = parse_tensor(message);
    // TF2's images: width, height, then one or more files.
    if (tensor.type == kString && plugin == "images" && tensor.strings.size() > 2) {
        event.images.push_back({std::move(tag), small_number(tensor.strings[0]), small_number(tensor.strings[1]),
                                std::string(tensor.strings[2])});
        return;
    }
    if (!plugin.empty() && plugin != "scalars") return;
    const bool single = tensor.type != kDouble && tensor.type != kInt64 && tensor.type != kUint64;
    if (auto number = scalar_of(tensor)) event.scalars.push_back({std::move(tag), *number, single});
}

void parse_value(TfEvent& event, std::string_view message) {
    std::string tag, plugin;
    std::optional<float> simple;
    std::optional<std::string_view> image, tensor;
    for (ProtoReader it(message); it.next();) {
        switch (it.field()) {
        case 1: tag = it.bytes(); break;
        case 2: simple = it.as_float(); break;
        case 4: image = it.bytes(); break;
        case 8: tensor = it.bytes(); break;
        case 9: plugin = plugin_of(it.bytes()); break;
        default: break;
        }
    }
    if (tag.empty()) return;
    if (simple)
        event.scalars.push_back({std::move(tag), *simple, true});
    else if (tensor)
        parse_tensor_value(event, std::move(tag), plugin, *tensor);
    else if (image)
        event.images.push_back(parse_image(std::move(tag), *image));
}

} // namespace

TfEvent parse_tf_event(std::string_view message) {
    TfEvent event;
    for (ProtoReader it(message); it.next();) {
        if (it.field() == 1) event.time = it.as_double();
        if (it.field() == 2) event.step = it.signed_integer();
        if (it.field() == 3) event.version = it.bytes();
        if (it.field() != 5) continue;
        for (ProtoReader summary(it.bytes()); summary.next();)
            if (summary.field() == 1) parse_value(event, summary.bytes());
    }
    return event;
}

std::string tf_event_message(const TfEvent& event) {
    ProtoWriter summary;
    for (const auto& scalar : event.scalars) {
        ProtoWriter value;
        value.bytes(1, scalar.tag).real32(2, static_cast<float>(scalar.value));
        summary.bytes(1, value.text());
    }
    for (const auto& image : event.images) {
        ProtoWriter picture, value;
        picture.integer(1, static_cast<std::uint64_t>(image.height))
            .integer(2, static_cast<std::uint64_t>(image.width))
            .integer(3, 3)
            .bytes(4, image.bytes);
        value.bytes(1, image.tag).bytes(4, picture.text());
        summary.bytes(1, value.text());
    }
    ProtoWriter message;
    message.real(1, event.time);
    if (event.step != 0) message.integer(2, static_cast<std::uint64_t>(event.step));
    if (!event.version.empty()) message.bytes(3, event.version);
    if (!summary.text().empty()) message.bytes(5, summary.text());
    return message.text();
}

std::string tf_record(std::string_view message) {
    std::string record;
    append_little_endian(record, message.size(), 8);
    append_little_endian(record, masked(record), 4);
    record.append(message);
    append_little_endian(record, masked(message), 4);
    return record;
}

TfEventReader::TfEventReader(const std::filesystem::path& path, std::uint64_t offset)
    : file_(check_syscall("open " + path.native(), ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))),
      offset_(offset), buffered_at_(offset) {}

// At most that many bytes from the offset on; fewer where the file ends.
std::string_view TfEventReader::available(std::size_t bytes) {
    std::size_t begin = offset_ - buffered_at_;
    if (buffer_.size() - begin < bytes) {
        buffer_.erase(0, begin);
        buffered_at_ = offset_;
        begin = 0;
        std::size_t filled = buffer_.size();
        buffer_.resize(std::max(bytes, kChunk));
        while (filled < buffer_.size()) {
            const ssize_t got = ::pread(file_.get(), buffer_.data() + filled, buffer_.size() - filled,
                                        static_cast<off_t>(buffered_at_ + filled));
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            filled += static_cast<std::size_t>(got);
        }
        buffer_.resize(filled);
    }
    return std::string_view(buffer_).substr(begin, bytes);
}

bool TfEventReader::is_header(std::string_view bytes) const {
    return bytes.size() >= kHeader && checks(bytes.substr(0, 8), bytes.substr(8, 4)) &&
           little_endian(bytes.substr(0, 8)) <= kLongest;
}

std::optional<TfEvent> TfEventReader::next() {
    while (!damaged_) {
        std::string_view record = available(kHeader);
        if (record.size() < kHeader) return std::nullopt;
        if (!is_header(record)) {
            damaged_ = true;
            break;
        }
        const std::size_t length = little_endian(record.substr(0, 8));
        record = available(kHeader + length + kFooter);
        if (record.size() < kHeader + length + kFooter) return std::nullopt;
        const std::string_view message = record.substr(kHeader, length);
        if (checks(message, record.substr(kHeader + length))) {
            TfEvent event = parse_tf_event(message);
            offset_ += record.size();
            return event;
        }
        // Its bytes may not all have come yet. Where another record follows, they never will.
        const std::size_t whole = record.size();
        if (!is_header(available(whole + kHeader).substr(whole))) return std::nullopt;
        offset_ += whole;
    }
    return std::nullopt;
}

} // namespace poster
