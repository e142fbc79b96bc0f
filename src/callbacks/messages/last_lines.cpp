#include "last_lines.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include <fd.hpp>
#include <files.hpp>
#include <folding.hpp>
#include <log_index.hpp>
#include <text.hpp>

namespace poster {

namespace {

constexpr std::size_t kIndexBytes = 1 << 20; // of the end of output.idx: some thirty thousand chunks
constexpr std::size_t kLogBytes = 64 << 10;  // of the end of the log, or of stderr
constexpr std::size_t kLongestLine = 400;    // columns
constexpr int kStderr = 2;

// The newest pieces of stderr in order, kLogBytes of them.
std::vector<LogPiece> newest_of_stderr(const std::filesystem::path& attempt_dir) {
    const std::string tail = read_tail(attempt_dir / "output.idx", kIndexBytes).value_or("");
    std::vector<LogPiece> pieces;
    for (const auto& line : split(tail, '\n')) // the first may be half a line, which is none
        if (const auto piece = parse_log_piece(line); piece && piece->stream == kStderr) pieces.push_back(*piece);
    std::uint64_t bytes = 0;
    auto first = pieces.end();
    while (first != pieces.begin() && bytes < kLogBytes) bytes += (--first)->length;
    return {first, pieces.end()};
}

std::string read_piece(int log, const LogPiece& piece) {
    const std::uint64_t length = std::min<std::uint64_t>(piece.length, kLogBytes);
    std::string bytes(std::size_t(length), '\0');
    ssize_t got = 0;
    do got = ::pread(log, bytes.data(), bytes.size(), off_t(piece.offset + piece.length - length));
    while (got < 0 && errno == EINTR);
    bytes.resize(got > 0 ? std::size_t(got) : 0);
    return bytes;
}

std::string newest_output(const std::filesystem::path& attempt_dir, LastLines& last, bool prefer_stderr) {
    const auto file = attempt_dir / "output.log";
    const auto pieces = prefer_stderr ? newest_of_stderr(attempt_dir) : std::vector<LogPiece>{};
    const Fd log(pieces.empty() ? -1 : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    std::string bytes;
    for (const auto& piece : pieces)
        if (log) bytes += read_piece(log.get(), piece);
    last.of_stderr = bytes.find_first_not_of(" \t\r\n") != std::string::npos;
    return last.of_stderr ? bytes : read_tail(file, kLogBytes).value_or("");
}

bool is_blank(const std::string& line) {
    return line.find_first_not_of(" \t") == std::string::npos;
}

} // namespace

LastLines last_lines(const std::filesystem::path& attempt_dir, std::size_t most, bool prefer_stderr,
                     const Redactor& redactor) {
    LastLines last;
    if (most == 0) return last;
    std::deque<std::string> lines;
    std::string open; // a line whose end has not come
    Folder folder(false, [&](const Folder::Line& line) {
        if (line.continues && !lines.empty()) lines.pop_back();
        open = line.continues ? open + std::string(line.text) : std::string(line.text);
        lines.push_back(open);
        if (lines.size() > most + Folder::kScreenRows) lines.pop_front(); // blank ones at the end are taken away
    });
    folder.feed(redactor.text(newest_output(attempt_dir, last, prefer_stderr)));
    folder.finish();
    while (!lines.empty() && is_blank(lines.back())) lines.pop_back();
    const std::size_t first = lines.size() - std::min(most, lines.size());
    for (std::size_t i = first; i < lines.size(); ++i)
        last.lines.push_back(shorten(valid_utf8(lines[i]), kLongestLine));
    return last;
}

} // namespace poster
