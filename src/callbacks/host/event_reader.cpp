#include "event_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <fd.hpp>

namespace poster {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kEnding = ".jsonl";
constexpr auto kCoarseTime = 2s;        // within it a directory may change without its time of change changing
constexpr auto kListAgain = 5s;         // whatever the directory says
constexpr std::size_t kKept = 64 << 10; // of the buffer, by a reader that has nothing to do

std::int64_t time_of_change(const fs::path& directory) {
    struct stat facts{};
    if (::stat(directory.c_str(), &facts) != 0) return -1;
    return std::int64_t(facts.st_mtim.tv_sec) * 1'000'000'000 + facts.st_mtim.tv_nsec;
}

} // namespace

bool EventReader::read(const Visitor& visitor, Look look) {
    list_files(look);
    std::vector<Part> parts;
    const bool more = fill(look, parts);
    visit(visitor, parts);
    if (!more && buffer_.capacity() > kKept) std::string().swap(buffer_);
    buffer_.clear();
    return more;
}

void EventReader::read_all(const Visitor& visitor) {
    for (Look look = Look::everywhere; read(visitor, look); look = Look::if_changed) {
    }
}

void EventReader::list_files(Look look) {
    const auto now = Clock::now();
    const auto change = time_of_change(dir_);
    if (change != listed_change_) list_until_ = now + kCoarseTime;
    if (look == Look::if_changed && now >= list_until_ && now < list_again_) return;
    listed_change_ = change;
    list_again_ = now + kListAgain;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(dir_, failure)) {
        std::string name = entry.path().filename().native();
        if (!name.ends_with(kEnding)) continue;
        auto at = std::lower_bound(files_.begin(), files_.end(), name,
                                   [](const File& file, const std::string& other) { return file.name < other; });
        if (at == files_.end() || at->name != name) files_.insert(at, File{std::move(name)});
    }
}

// True: there was more than fits.
bool EventReader::fill(Look look, std::vector<Part>& parts) {
    bool more = false;
    for (std::size_t i = 0, count = files_.size(); i < count; ++i) {
        const std::size_t number = (first_ + i) % count;
        File& file = files_[number];
        const std::size_t begin = buffer_.size();
        const bool whole = append_lines(file, look);
        if (buffer_.size() > begin) parts.push_back({&file, begin, buffer_.size()});
        if (whole) continue;
        more = true;
        if (buffer_.size() < kStepBytes && begin == 0) continue; // a long line that was passed over
        first_ = buffer_.size() > begin ? (number + 1) % count : number;
        break;
    }
    return more;
}

// Whole lines behind the cursor, as many as fit. False: not all of them did.
bool EventReader::append_lines(File& file, Look look) {
    const fs::path path = dir_ / file.name;
    struct stat facts{};
    if (look == Look::if_changed && (::stat(path.c_str(), &facts) != 0 || std::uint64_t(facts.st_size) == file.seen))
        return true;
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || ::fstat(fd.get(), &facts) != 0) return true;
    const std::size_t begin = buffer_.size();
    std::size_t room = kStepBytes - std::min(begin, kStepBytes);
    for (;;) {
        const auto size = std::uint64_t(facts.st_size);
        const auto left = std::size_t(size - std::min(size, file.cursor));
        const std::size_t wanted = std::min(left, room);
        buffer_.resize(begin + wanted);
        const ssize_t got = wanted == 0 ? 0 : ::pread(fd.get(), buffer_.data() + begin, wanted, off_t(file.cursor));
        buffer_.resize(begin + std::size_t(std::max<ssize_t>(got, 0)));
        const bool to_the_end = wanted == left || got < ssize_t(wanted); // less: it is being cut
        if (to_the_end) file.seen = file.cursor + (buffer_.size() - begin);
        const std::size_t newline = buffer_.rfind('\n');
        if (newline != std::string::npos && newline >= begin) {
            buffer_.resize(newline + 1);
            file.cursor += buffer_.size() - begin;
            if (file.in_long_line) skip_long_line(file, begin);
            return to_the_end;
        }
        if (to_the_end) { // half a line
            buffer_.resize(begin);
            return true;
        }
        if (begin > 0) { // first of all next time, when all of the room is its own
            buffer_.resize(begin);
            return false;
        }
        if (room >= kLongestLine) {
            file.cursor += buffer_.size();
            file.in_long_line = true;
            buffer_.clear();
            return false;
        }
        room = std::min(room * 4, kLongestLine);
    }
}

void EventReader::skip_long_line(File& file, std::size_t begin) {
    file.in_long_line = false;
    buffer_.erase(begin, buffer_.find('\n', begin) + 1 - begin);
}

void EventReader::visit(const Visitor& visitor, const std::vector<Part>& parts) const {
    std::vector<Event> events; // they refer to the buffer
    std::vector<std::string> writers;
    writers.reserve(parts.size());
    for (const auto& part : parts) {
        const std::string& writer = writers.emplace_back(part.file->name, 0, part.file->name.size() - kEnding.size());
        const char* at = buffer_.data() + part.begin;
        const char* const end = buffer_.data() + part.end;
        while (at < end) {
            const auto* newline = static_cast<const char*>(std::memchr(at, '\n', std::size_t(end - at)));
            const std::string_view line(at, std::size_t(newline - at));
            at = newline + 1;
            if (!line.starts_with('{')) continue;
            if (const auto kind = Event::kind_at_front(line); kind && !visitor.wants(*kind)) continue;
            Event event(line, writer);
            if (visitor.wants(event.kind())) events.push_back(std::move(event));
        }
    }
    if (events.empty()) return;
    for (const auto& event : events) visitor.on_event(event);
    visitor.on_step(Step{events});
}

} // namespace poster
