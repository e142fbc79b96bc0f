#include "labelled_output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include <error.hpp>

namespace poster {

namespace {

constexpr std::size_t kRead = 64UL * 1024;
constexpr std::size_t kLongestLine = 1UL << 20; // a longer one is cut: it would fill the memory
constexpr std::string_view kEraseLine = "\r\033[K";

bool same_file(int a, int b) {
    struct stat x{};
    struct stat y{};
    return ::fstat(a, &x) == 0 && ::fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino &&
           x.st_rdev == y.st_rdev;
}

std::pair<Fd, Fd> make_pipe() {
    std::array<int, 2> ends{};
    check_syscall("make a pipe", ::pipe2(ends.data(), O_CLOEXEC));
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return {Fd(ends[0]), Fd(ends[1])};
}

} // namespace

LabelledOutput::LabelledOutput()
    : same_place_(same_file(STDOUT_FILENO, STDERR_FILENO)), stderr_is_terminal_(::isatty(STDERR_FILENO) == 1),
      out_(STDOUT_FILENO), err_(STDERR_FILENO) {}

LabelledOutput::Ends LabelledOutput::open(int job, const std::string& label) {
    Ends ends;
    for (bool to_stderr : {false, true}) {
        if (to_stderr && same_place_) break; // one pipe keeps their order
        auto [read_end, write_end] = make_pipe();
        auto source = std::make_unique<Source>();
        source->job = job;
        source->label = label;
        source->read_end = std::move(read_end);
        source->to_stderr = to_stderr;
        sources_.push_back(std::move(source));
        (to_stderr ? ends.err : ends.out) = std::move(write_end);
    }
    return ends;
}

void LabelledOutput::end(int job) {
    for (auto& source : sources_) {
        if (source->job != job) continue;
        read(*source);
        if (!source->line.empty()) put_line(*source);
        source->read_end.close();
    }
    std::erase_if(sources_, [&](const auto& source) { return source->job == job; });
}

void LabelledOutput::add_to(std::vector<pollfd>& polled) const {
    bool full = out_.full() || err_.full(); // whoever reads slowly slows the runs down, as without poster
    for (const auto& source : sources_)
        if (!full && source->read_end) polled.push_back({source->read_end.get(), POLLIN, 0});
    for (const Sink* sink : {&out_, &err_})
        if (!sink->idle() && sink->poll_fd() >= 0) polled.push_back({sink->poll_fd(), POLLOUT, 0});
}

void LabelledOutput::pump(const std::vector<pollfd>& polled) {
    for (const auto& ready : polled) {
        if (ready.revents == 0) continue;
        for (Sink* sink : {&out_, &err_})
            if (ready.fd == sink->poll_fd()) sink->on_writable();
        for (auto& source : sources_)
            if (source->read_end && ready.fd == source->read_end.get()) read(*source);
    }
}

void LabelledOutput::flush(int timeout_ms) {
    auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (!(out_.idle() && err_.idle()) && std::chrono::steady_clock::now() < until) {
        std::vector<pollfd> polled;
        for (const Sink* sink : {&out_, &err_})
            if (!sink->idle() && sink->poll_fd() >= 0) polled.push_back({sink->poll_fd(), POLLOUT, 0});
        if (polled.empty()) return;
        ::poll(polled.data(), polled.size(), timeout_ms);
        pump(polled);
    }
}

void LabelledOutput::read(Source& source) {
    std::array<char, kRead> buffer;
    for (;;) {
        ssize_t got = source.read_end ? ::read(source.read_end.get(), buffer.data(), buffer.size()) : 0;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return source.read_end.close();
        take(source, {buffer.data(), std::size_t(got)});
        if (out_.full() || err_.full()) return;
    }
}

void LabelledOutput::take(Source& source, std::string_view bytes) {
    while (!bytes.empty()) {
        std::size_t end = bytes.find('\n');
        source.line.append(bytes.substr(0, end));
        if (end == std::string_view::npos) break;
        put_line(source);
        bytes.remove_prefix(end + 1);
    }
    if (source.line.size() > kLongestLine) put_line(source);
}

// Of a progress bar that draws over itself, what is left at the end; all of it stands in the log.
void LabelledOutput::put_line(Source& source) {
    std::string_view line = source.line;
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (auto back = line.rfind('\r'); back != std::string_view::npos) line.remove_prefix(back + 1);
    put(source.to_stderr, source.label + std::string(line) + "\n");
    source.line.clear();
}

void LabelledOutput::put(bool to_stderr, std::string_view text) {
    if (!to_stderr && !same_place_) return out_.write(text);
    if (progress_.empty()) return err_.write(text);
    err_.write(std::string(kEraseLine).append(text).append(progress_));
}

void LabelledOutput::say(const std::string& line) {
    put(true, "poster: " + line + "\n");
}

void LabelledOutput::show_progress(const std::string& text) {
    if (!stderr_is_terminal_ || text == progress_) return;
    err_.write(std::string(kEraseLine) + text);
    progress_ = text;
}

} // namespace poster
