#pragma once
// The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02, and the extensions in OpenSSH's PROTOCOL).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace poster::sftp {

enum class Type : std::uint8_t {
    init = 1,
    version = 2,
    open = 3,
    close = 4,
    read = 5,
    write = 6,
    lstat = 7,
    fstat = 8,
    fsetstat = 10,
    opendir = 11,
    readdir = 12,
    remove = 13,
    mkdir = 14,
    realpath = 16,
    rename = 18,
    status = 101,
    handle = 102,
    data = 103,
    name = 104,
    attributes = 105,
    extended = 200,
    extended_reply = 201,
};

enum class Status : std::uint32_t { ok = 0, eof = 1, no_such_file = 2, permission_denied = 3, failure = 4 };

inline constexpr std::uint32_t kRead = 1, kWrite = 2, kCreate = 8, kTruncate = 16; // of open

struct Attributes {
    std::optional<std::uint64_t> size;
    std::optional<std::uint32_t> permissions; // as st_mode
    std::optional<std::uint32_t> modified;    // seconds since the epoch

    bool is_file() const;
    bool is_folder() const;
};

// The parts of a packet, one after the other.
class Writer {
public:
    Writer& number(std::uint32_t value);
    Writer& big_number(std::uint64_t value);
    Writer& text(std::string_view bytes);    // with its length
    Writer& mode(std::uint32_t permissions); // attributes with nothing else
    Writer& size(std::uint64_t bytes);       // likewise
    std::string take() { return std::move(bytes_); }

private:
    std::string bytes_;
};

// All throw Error where the packet is too short.
class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}
    std::uint8_t byte();
    std::uint32_t number();
    std::uint64_t big_number();
    std::string_view text();
    Attributes attributes();
    bool empty() const { return bytes_.empty(); }

private:
    std::string_view take(std::size_t count);
    std::string_view bytes_;
};

struct Named {
    std::string name;
    Attributes attributes;
};

struct Reply {
    Type type = Type::status;
    Status status = Status::ok; // ok also for replies of other types
    std::string text;           // the handle, the data, the body of an extended reply
    Attributes attributes;
    std::vector<Named> names;

    bool ok() const { return status == Status::ok; }
};

// The body of a packet behind its type and id. Throws Error for what is none of the replies.
Reply parse_reply(Type type, std::string_view body);

} // namespace poster::sftp
