#include "sftp_wire.hpp"

#include <sys/stat.h>

#include <error.hpp>

namespace poster::sftp {

namespace {

constexpr std::uint32_t kHasSize = 1, kHasOwner = 2, kHasMode = 4, kHasTimes = 8, kHasExtensions = 0x80000000;

} // namespace

bool Attributes::is_file() const {
    return permissions && S_ISREG(*permissions);
}

bool Attributes::is_folder() const {
    return permissions && S_ISDIR(*permissions);
}

Writer& Writer::number(std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes_ += char(value >> shift & 0xff);
    return *this;
}

Writer& Writer::big_number(std::uint64_t value) {
    return number(std::uint32_t(value >> 32)).number(std::uint32_t(value));
}

Writer& Writer::text(std::string_view bytes) {
    number(std::uint32_t(bytes.size()));
    bytes_ += bytes;
    return *this;
}

Writer& Writer::mode(std::uint32_t permissions) {
    return number(kHasMode).number(permissions);
}

Writer& Writer::size(std::uint64_t bytes) {
    return number(kHasSize).big_number(bytes);
}

std::string_view Reader::take(std::size_t count) {
    if (bytes_.size() < count) throw Error("the SFTP server sent a packet that is cut short");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
}

std::uint8_t Reader::byte() {
    return std::uint8_t(take(1)[0]);
}

std::uint32_t Reader::number() {
    std::uint32_t value = 0;
    for (const char byte : take(4)) value = value << 8 | std::uint8_t(byte);
    return value;
}

std::uint64_t Reader::big_number() {
    const std::uint64_t high = number();
    return high << 32 | number();
}

std::string_view Reader::text() {
    return take(number());
}

Attributes Reader::attributes() {
    Attributes found;
    const std::uint32_t flags = number();
    if (flags & kHasSize) found.size = big_number();
    if (flags & kHasOwner) big_number();
    if (flags & kHasMode) found.permissions = number();
    if (flags & kHasTimes) {
        number(); // of the last access
        found.modified = number();
    }
    if (flags & kHasExtensions)
        for (std::uint32_t left = number(); left > 0; --left) {
            text();
            text();
        }
    return found;
}

Reply parse_reply(Type type, std::string_view body) {
    Reader reader(body);
    Reply reply;
    reply.type = type;
    switch (type) {
    case Type::status: reply.status = Status(reader.number()); break;
    case Type::handle:
    case Type::data: reply.text = reader.text(); break;
    case Type::attributes: reply.attributes = reader.attributes(); break;
    case Type::name:
        for (std::uint32_t left = reader.number(); left > 0; --left) {
            Named entry;
            entry.name = reader.text();
            reader.text(); // as `ls -l` shows it
            entry.attributes = reader.attributes();
            reply.names.push_back(std::move(entry));
        }
        break;
    case Type::extended_reply: reply.text = body; break;
    default: throw Error("the SFTP server sent what is no reply");
    }
    return reply;
}

} // namespace poster::sftp
