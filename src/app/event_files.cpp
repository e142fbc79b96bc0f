#include "event_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include <error.hpp>
#include <fd.hpp>

namespace poster {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 256 << 10; // small enough to stay in the cache until its lines are parsed

// False at the end of the file.
bool append_block(int file, std::uint64_t offset, std::string& buffer) {
    const std::size_t held = buffer.size();
    buffer.resize(held + kBlock);
    ssize_t got;
    do got = ::pread(file, buffer.data() + held, kBlock, off_t(offset));
    while (got < 0 && errno == EINTR);
    if (got < 0) throw_errno("read the event log", errno);
    buffer.resize(held + std::size_t(got));
    return got > 0;
}

} // namespace

std::vector<fs::path> event_files(const fs::path& attempt_dir) {
    std::vector<fs::path> files;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(attempt_dir / "events", failure))
        if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

void for_each_line(const fs::path& file, std::uint64_t begin, std::uint64_t end,
                   const std::function<void(std::string_view)>& take) {
    const Fd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) return;
    // A line begins behind a newline: that one is looked for from the byte before.
    std::uint64_t read_to = begin > 0 ? begin - 1 : 0, line_at = read_to;
    bool at_line = begin == 0;
    std::string buffer;
    buffer.reserve(2 * kBlock);
    while (line_at < end && append_block(opened.get(), read_to, buffer)) {
        read_to = line_at + buffer.size();
        std::size_t used = 0;
        while (line_at + used < end || !at_line) {
            const std::size_t stop = buffer.find('\n', used);
            if (stop == std::string::npos) break;
            if (at_line && stop > used) take(std::string_view(buffer).substr(used, stop - used));
            at_line = true;
            used = stop + 1;
        }
        buffer.erase(0, used);
        line_at += used;
    }
}

} // namespace poster
