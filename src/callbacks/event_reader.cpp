#include "event_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <vector>

#include <fd.hpp>

namespace poster {

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> event_files(const fs::path& dir) {
    std::vector<fs::path> files;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(dir, failure))
        if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

// The whole lines that stand behind `cursor`, which moves behind them.
std::string new_lines(const fs::path& path, std::uint64_t& cursor) {
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    char buffer[65536];
    ssize_t n = 0;
    while (file && (n = ::pread(file.get(), buffer, sizeof buffer, static_cast<off_t>(cursor + text.size()))) > 0)
        text.append(buffer, static_cast<std::size_t>(n));
    auto end = text.rfind('\n');
    text.resize(end == std::string::npos ? 0 : end + 1);
    cursor += text.size();
    return text;
}

} // namespace

void EventReader::read(const std::function<void(const Event&)>& on_event,
                       const std::function<void(const Step&)>& on_step) {
    std::deque<std::string> texts; // events refer to their line
    std::deque<std::string> writers;
    std::vector<Event> events;
    for (const auto& path : event_files(dir_)) {
        const std::string& text = texts.emplace_back(new_lines(path, cursors_[path.filename()]));
        const std::string& writer = writers.emplace_back(path.stem());
        for (std::size_t begin = 0; begin < text.size();) {
            const std::size_t end = text.find('\n', begin);
            if (text[begin] == '{') events.emplace_back(std::string_view(text).substr(begin, end - begin), writer);
            begin = end + 1;
        }
    }
    if (events.empty()) return;
    for (const auto& event : events) on_event(event);
    on_step(Step{events});
}

} // namespace poster
