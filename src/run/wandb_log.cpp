#include "wandb_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>

#include <crc32.hpp>
#include <error.hpp>

#include "protobuf.hpp"

namespace poster {

namespace {

constexpr std::uint64_t kBlock = 32'768;
constexpr std::size_t kChunkHeader = 7; // checksum, length, type
constexpr std::string_view kFileHeader{":W&B\xE1\xBE\x00", 7};
constexpr std::size_t kLongest = 256U << 20U; // of a record put together from chunks

std::string number_text(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    std::array<char, 32> digits;
    return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr};
}

std::string quoted(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::int64_t zigzag(std::uint64_t number) {
    return static_cast<std::int64_t>(number >> 1U) ^ -static_cast<std::int64_t>(number & 1U);
}

WandbItem parse_item(std::string_view message) {
    WandbItem item;
    std::string key;
    for (ProtoReader it(message); it.next();) {
        switch (it.field()) {
        case 1: key = it.bytes(); break;
        case 2: item.path.emplace_back(it.bytes()); break;
        case 3: item.json = "null"; break;
        case 4: item.json = it.integer() != 0 ? "true" : "false"; break;
        case 5: item.json = std::to_string(zigzag(it.integer())); break;
        case 6: item.json = number_text(it.as_double()); break;
        case 7: item.json = quoted(it.bytes()); break;
        case 8:
        case 16: item.json = it.bytes(); break;
        default: break;
        }
    }
    if (item.path.empty()) item.path.push_back(key);
    return item;
}

// HistoryRecord.item, SummaryRecord.update and ConfigRecord.update are all field 1.
void parse_items(WandbRecord& record, std::string_view message) {
    for (ProtoReader it(message); it.next();) {
        if (it.field() == 1) record.items.push_back(parse_item(it.bytes()));
        if (it.field() != 2 || record.kind != WandbRecord::Kind::history) continue;
        record.step = 0;
        for (ProtoReader step(it.bytes()); step.next();)
            if (step.field() == 1) record.step = step.signed_integer();
    }
}

double parse_timestamp(std::string_view message) {
    double seconds = 0;
    for (ProtoReader it(message); it.next();) {
        if (it.field() == 1) seconds += static_cast<double>(it.signed_integer());
        if (it.field() == 2) seconds += static_cast<double>(it.signed_integer()) / 1e9;
    }
    return seconds;
}

void parse_run(WandbRecord& record, std::string_view message) {
    for (ProtoReader it(message); it.next();) {
        switch (it.field()) {
        case 1: record.id = it.bytes(); break;
        case 2: record.entity = it.bytes(); break;
        case 3: record.project = it.bytes(); break;
        case 4: parse_items(record, it.bytes()); break;
        case 6: record.group = it.bytes(); break;
        case 8: record.name = it.bytes(); break;
        case 17: record.started_at = parse_timestamp(it.bytes()); break;
        default: break;
        }
    }
}

} // namespace

WandbRecord parse_wandb_record(std::string_view message) {
    using Kind = WandbRecord::Kind;
    WandbRecord record;
    for (ProtoReader it(message); it.next();) {
        switch (it.field()) {
        case 2: record.kind = Kind::history; break;
        case 3: record.kind = Kind::summary; break;
        case 5: record.kind = Kind::config; break;
        case 17: record.kind = Kind::run; break;
        case 18: record.kind = Kind::exit; break;
        default: continue;
        }
        if (record.kind == Kind::run) {
            parse_run(record, it.bytes());
        } else if (record.kind == Kind::exit) {
            record.exit_code = 0;
            for (ProtoReader exit(it.bytes()); exit.next();)
                if (exit.field() == 1) record.exit_code = static_cast<int>(exit.signed_integer());
        } else {
            parse_items(record, it.bytes());
        }
    }
    return record;
}

WandbLogReader::WandbLogReader(const std::filesystem::path& path, std::uint64_t offset)
    : file_(check_syscall("open " + path.native(), ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))),
      offset_(offset), block_number_(~std::uint64_t{0}) {
    if (offset_ >= kFileHeader.size()) return;
    offset_ = kFileHeader.size();
    std::array<char, kFileHeader.size()> header{};
    const ssize_t got = ::pread(file_.get(), header.data(), header.size(), 0);
    // The last byte is the version: another one is read as far as it goes.
    is_log_ =
        got == static_cast<ssize_t>(header.size()) && std::string_view(header.data(), 6) == kFileHeader.substr(0, 6);
}

// Read again where it was not whole.
std::string_view WandbLogReader::block_at(std::uint64_t number) {
    if (number == block_number_ && block_.size() == kBlock) return block_;
    block_number_ = number;
    block_.resize(kBlock);
    std::size_t filled = 0;
    while (filled < kBlock) {
        const ssize_t got =
            ::pread(file_.get(), block_.data() + filled, kBlock - filled, static_cast<off_t>(number * kBlock + filled));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        filled += static_cast<std::size_t>(got);
    }
    block_.resize(filled);
    return block_;
}

// Moves `at` behind the chunk, or behind the block where that is damaged and will not change any more.
WandbLogReader::Chunk WandbLogReader::read_chunk(std::uint64_t& at, std::string_view& content) {
    if (kBlock - at % kBlock < kChunkHeader) at += kBlock - at % kBlock;
    const std::string_view block = block_at(at / kBlock);
    const std::uint64_t begin = at % kBlock;
    const bool complete = block.size() == kBlock;
    const auto damaged = [&] {
        if (!complete) return Chunk::none; // not all has been written yet
        at += kBlock - begin;
        return Chunk::damaged;
    };
    if (block.size() < begin + kChunkHeader) return Chunk::none;
    const std::string_view header = block.substr(begin, kChunkHeader);
    const std::size_t length = little_endian(header.substr(4, 2));
    const auto type = static_cast<unsigned char>(header[6]);
    if (begin + kChunkHeader + length > block.size()) return damaged();
    const std::string_view checked = block.substr(begin + kChunkHeader - 1, length + 1);
    if (type < 1 || type > 4 || crc32(checked) != little_endian(header.substr(0, 4))) return damaged();
    content = checked.substr(1);
    at += kChunkHeader + length;
    return static_cast<Chunk>(type);
}

std::optional<WandbRecord> WandbLogReader::next() {
    if (!is_log_) return std::nullopt;
    std::string whole;
    bool begun = false;
    for (std::uint64_t at = offset_;;) {
        std::string_view content;
        const Chunk chunk = read_chunk(at, content);
        if (chunk == Chunk::none) return std::nullopt;
        if (chunk == Chunk::damaged || chunk == Chunk::whole || chunk == Chunk::first) {
            begun = chunk == Chunk::first;
            whole.clear();
        }
        if (chunk == Chunk::damaged || (!begun && chunk != Chunk::whole)) {
            offset_ = at; // half a record: its other half is lost
            continue;
        }
        whole.append(content);
        if (whole.size() > kLongest) begun = false;
        if (chunk != Chunk::whole && chunk != Chunk::last) continue;
        offset_ = at;
        return parse_wandb_record(whole);
    }
}

} // namespace poster
