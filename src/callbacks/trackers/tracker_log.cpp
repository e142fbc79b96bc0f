#include "tracker_log.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr std::size_t kLongestPart = 100; // of a path

std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void append_number(std::string& text, double value, bool single) {
    if (std::isnan(value)) {
        text += "\"NaN\"";
        return;
    }
    if (std::isinf(value)) {
        text += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
        return;
    }
    std::array<char, 32> digits;
    const auto end = single ? std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<float>(value))
                            : std::to_chars(digits.data(), digits.data() + digits.size(), value);
    text.append(digits.data(), end.ptr);
}

// One part of a path, whatever the name was.
std::string as_file_name(std::string_view name) {
    std::string part;
    for (const char c : name.substr(0, kLongestPart)) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                           c == '_' || c == '.' || c == '=' || c == '+';
        part += plain ? c : '_';
    }
    if (part.find_first_not_of('.') == std::string::npos) part.assign(std::max<std::size_t>(part.size(), 1), '_');
    return part;
}

fs::path as_path(const std::string& name) {
    fs::path path;
    for (std::size_t begin = 0; begin < name.size();) {
        const std::size_t end = std::min(name.find('/', begin), name.size());
        if (end > begin) path /= as_file_name(std::string_view(name).substr(begin, end - begin));
        begin = end + 1;
    }
    return path.empty() ? fs::path("image") : path;
}

std::string_view picture_format(std::string_view bytes) {
    if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return "png";
    if (bytes.starts_with("\xff\xd8\xff")) return "jpg";
    if (bytes.starts_with("GIF8")) return "gif";
    return {};
}

std::uint32_t big_endian(std::string_view bytes) {
    std::uint32_t number = 0;
    for (const char byte : bytes) number = (number << 8U) | static_cast<unsigned char>(byte);
    return number;
}

} // namespace

TrackerLog::TrackerLog(const Run& run, std::string_view name)
    : file_(run.attempt_dir() / "events" / fmt::format("{}.{}.jsonl", host_name(), name)) {
    read_earlier();
}

void TrackerLog::read_earlier() {
    const auto text = read_file(file_);
    if (!text) return;
    std::size_t good = 0;
    for (std::size_t begin = 0; begin < text->size();) {
        const std::size_t end = text->find('\n', begin);
        if (end == std::string::npos) break;
        const std::string_view line = std::string_view(*text).substr(begin, end - begin);
        begin = end + 1;
        if (!line.starts_with(R"({"kind":"cursor")")) continue;
        const json cursor = json::parse(line, nullptr, false);
        if (!cursor.is_object()) continue;
        good = begin;
        const fs::path file = text_of(cursor, "file");
        auto known = std::find_if(earlier_.begin(), earlier_.end(), [&](const auto& it) { return it.first == file; });
        if (known == earlier_.end()) known = earlier_.insert(known, {file, {}});
        known->second.offset = static_cast<std::uint64_t>(number_of(cursor, "offset").value_or(0));
        known->second.more = cursor;
    }
    if (good < text->size() && ::truncate(file_.c_str(), static_cast<off_t>(good)) != 0)
        throw_errno("cut " + file_.native(), errno);
}

void TrackerLog::add(const json& event) {
    json rest = event; // `kind` comes first
    rest.erase("kind");
    std::string line = dump(rest);
    pending_ += fmt::format("{{\"kind\":{}", dump(event.value("kind", json(nullptr))));
    pending_ += rest.empty() ? "}" : "," + line.substr(1);
    pending_ += '\n';
}

void TrackerLog::add_metric(double time, std::optional<std::int64_t> step, const std::vector<Value>& values) {
    pending_ += fmt::format(R"({{"kind":"metric","time":{:.6f})", std::isfinite(time) ? time : 0.0);
    if (step) pending_ += fmt::format(R"(,"step":{})", *step);
    pending_ += R"(,"values":{)";
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i > 0) pending_ += ',';
        pending_ += dump(values[i].name);
        pending_ += ':';
        append_number(pending_, values[i].value, values[i].single);
    }
    pending_ += "}}\n";
}

void TrackerLog::commit(const fs::path& file, const Cursor& cursor) {
    std::string text = std::move(pending_);
    pending_.clear();
    json line = cursor.more;
    line.erase("kind");
    line["file"] = file.string();
    line["offset"] = cursor.offset;
    text += R"({"kind":"cursor",)" + dump(line).substr(1) + '\n';
    const Fd fd = open_append(file_);
    struct stat info{};
    check_syscall("look at " + file_.native(), ::fstat(fd.get(), &info));
    if (write_all(fd.get(), text)) return;
    const int error = errno;
    if (::ftruncate(fd.get(), info.st_size) != 0) throw_errno("cut " + file_.native(), errno);
    throw_errno("write " + file_.native(), error);
}

std::optional<json> store_image(const Run& run, const std::string& name, std::optional<std::int64_t> step, double time,
                                std::string_view bytes) {
    const std::string_view format = picture_format(bytes);
    if (format.empty()) return std::nullopt;
    const fs::path folder = fs::path("images") / as_path(name);
    make_directories(run.dir / folder);
    fs::path path;
    for (int copy = 1;; ++copy) { // of another attempt, say
        const std::string number = step ? std::to_string(*step) : "image";
        path = folder / fmt::format("{}{}.{}", number, copy > 1 ? fmt::format("-{}", copy) : "", format);
        std::error_code failure;
        if (!fs::exists(run.dir / path, failure)) break;
        if (read_file(run.dir / path) == bytes) break;
    }
    std::error_code failure;
    if (!fs::exists(run.dir / path, failure)) replace_file(run.dir / path, bytes);
    json event{{"kind", "image"}, {"time", time}, {"name", name}, {"path", path.string()}, {"format", format}};
    if (step) event["step"] = *step;
    if (format == "png" && bytes.size() >= 24) {
        event["width"] = big_endian(bytes.substr(16, 4));
        event["height"] = big_endian(bytes.substr(20, 4));
    }
    return event;
}

} // namespace poster
