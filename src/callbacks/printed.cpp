// Metrics from what the program prints, as events of the run.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <files.hpp>
#include <log_index.hpp>
#include <poster/callback.hpp>
#include <printed_metrics.hpp>
#include <process.hpp>

namespace poster {

namespace {

using namespace std::chrono_literals;

constexpr auto kInterval = 200ms;
constexpr std::size_t kBlock = 1 << 20;
constexpr std::uint64_t kPerTick = 64 << 20; // bytes of the log: a tick has a time budget
constexpr std::size_t kStreams = 4;          // stdout 1, stderr 2, both in one 3

// JSON has no word for them (docs/events.md).
std::string number_text(double value) {
    if (std::isnan(value)) return "\"NaN\"";
    if (std::isinf(value)) return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    return fmt::format("{}", value);
}

std::string event_line(const PrintedPoint& point, WallTime started_at) {
    const auto time = (started_at + Milliseconds{point.time_ms}).time_since_epoch().count();
    std::string line = fmt::format(R"({{"kind":"metric","time":{}.{:03})", time / 1000, time % 1000);
    if (point.step) line += fmt::format(R"(,"step":{})", *point.step);
    if (point.epoch) line += fmt::format(R"(,"epoch":{})", *point.epoch);
    line += R"(,"values":{)";
    for (const auto& [name, value] : point.values) {
        if (line.back() != '{') line += ',';
        line += nlohmann::json(name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + ':';
        line += number_text(value);
    }
    return line + "}}\n";
}

// The file of events. What a host before this one wrote is a beginning of what this one finds in the same log: that
// many points are passed over.
class PrintedEvents {
public:
    explicit PrintedEvents(const fs::path& events_dir)
        : path_(events_dir / (host_name() + ".printed.jsonl")), known_(whole_lines()) {}

    void add(const PrintedPoint& point, WallTime started_at) {
        if (known_ > 0) {
            --known_;
            return;
        }
        buffer_ += event_line(point, started_at);
        if (buffer_.size() >= kBlock) flush();
    }

    void flush() {
        if (buffer_.empty()) return;
        if (!file_) file_ = open_append(path_);
        struct stat before{};
        const bool known = ::fstat(file_.get(), &before) == 0;
        if (!write_all(file_.get(), buffer_)) {
            const int error = errno;
            // The next try writes all of it again.
            if (known && ::ftruncate(file_.get(), before.st_size) != 0) buffer_.clear();
            throw_errno("write " + path_.filename().native(), error);
        }
        buffer_.clear();
    }

private:
    // Half a line, left by a crash, is cut off: it is found again.
    std::uint64_t whole_lines() const {
        const auto text = read_file(path_);
        if (!text) return 0;
        const std::size_t end = text->rfind('\n') + 1; // 0 where there is none
        if (end < text->size() && ::truncate(path_.c_str(), off_t(end)) != 0)
            throw_errno("cut " + path_.filename().native(), errno);
        return std::uint64_t(std::count(text->begin(), text->end(), '\n'));
    }

    fs::path path_;
    Fd file_;
    std::string buffer_;
    std::uint64_t known_;
};

// Reads output.log as it grows.
class PrintedLog {
public:
    PrintedLog(const Run& run, const std::shared_ptr<const MetricPatterns>& patterns)
        : started_at_(run.started_at), log_(::open((run.attempt_dir() / "output.log").c_str(), O_RDONLY | O_CLOEXEC)),
          index_(run.attempt_dir() / "output.idx"), events_(run.attempt_dir() / "events") {
        for (auto& stream : streams_)
            stream = std::make_unique<PrintedMetrics>(
                patterns, [this](const PrintedPoint& point) { events_.add(point, started_at_); });
    }

    // What output.idx tells the time of.
    void read_new() {
        read(false, kPerTick, Deadline::max());
        events_.flush();
    }

    // All of it, and what waits for more.
    void read_rest(Deadline deadline) {
        read(true, UINT64_MAX, deadline);
        for (auto& stream : streams_) stream->finish();
        events_.flush();
    }

private:
    void read(bool complete, std::uint64_t most, Deadline deadline) {
        struct stat info{};
        if (!log_ || ::fstat(log_.get(), &info) != 0) return;
        for (std::uint64_t taken = 0; taken < most;) {
            const auto piece = index_.next(std::uint64_t(info.st_size), complete);
            if (!piece) return;
            if (std::chrono::steady_clock::now() > deadline) throw Error("no time to read all of output.log");
            feed(*piece);
            taken += piece->length;
        }
    }

    void feed(const LogPiece& piece) {
        std::uint64_t offset = piece.offset, left = piece.length;
        while (left > 0) {
            buffer_.resize(std::size_t(std::min<std::uint64_t>(left, kBlock)));
            const ssize_t got = ::pread(log_.get(), buffer_.data(), buffer_.size(), off_t(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) throw_errno("read output.log", errno);
            if (got == 0) return; // cut short under our feet
            streams_.at(std::size_t(piece.stream))
                ->feed(std::string_view(buffer_).substr(0, std::size_t(got)), piece.time_ms);
            offset += std::uint64_t(got);
            left -= std::uint64_t(got);
        }
    }

    WallTime started_at_;
    Fd log_;
    LogIndex index_;
    PrintedEvents events_;
    std::array<std::unique_ptr<PrintedMetrics>, kStreams> streams_; // of each its own lines
    std::string buffer_;
};

class Printed : public Callback {
public:
    static constexpr bool kAddsEvents = true;

    explicit Printed(const Settings& settings)
        : patterns_(std::make_shared<MetricPatterns>(settings.list("metrics.patterns"))) {}

    Milliseconds interval() const override { return kInterval; }
    void on_tick(const Run& run) override {
        if (log_ || is_there(run)) log(run).read_new();
    }
    void on_end(const Run& run, const Outcome&, Deadline deadline) override { log(run).read_rest(deadline); }

private:
    static bool is_there(const Run& run) { return fs::exists(run.attempt_dir() / "output.idx"); }

    PrintedLog& log(const Run& run) {
        if (!log_) log_ = std::make_unique<PrintedLog>(run, patterns_);
        return *log_;
    }

    std::shared_ptr<const MetricPatterns> patterns_;
    std::unique_ptr<PrintedLog> log_;
};

Activation activate(const Settings& settings) {
    if (settings.flag("metrics.stdout")) return {true, settings.values().at("metrics.stdout").source};
    return {false, "metrics.stdout is not set"};
}

} // namespace

extern const CallbackEntry printed_callback;
const CallbackEntry printed_callback = callback_entry<Printed>(
    "printed", "metrics from what the program prints",
    {{"metrics.stdout", OptionType::flag, "false", "read metrics from what the program prints"},
     {"metrics.patterns", OptionType::list, "", "regular expressions whose named groups are metrics in printed lines"}},
    activate);

} // namespace poster
