// `poster logs`: what a run wrote: folded to what a terminal would show, or byte for byte; while it runs, too.

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <liveness.hpp>
#include <outbox.hpp>
#include <records.hpp>

#include "commands.hpp"
#include "reading.hpp"
#include "recover.hpp"
#include "table.hpp"
#include <folding.hpp>
#include <log_index.hpp>

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr std::size_t kBlock = 1 << 20;
constexpr int kPollMs = 50; // also where inotify tells nothing: on a file system that another host writes
constexpr auto kLookForLifeEvery = 2s;

// Takes the bytes of the log in order and prints them.
class Printer {
public:
    virtual ~Printer() = default;
    virtual void take(std::string_view bytes, std::int64_t time_ms) = 0;
    virtual void pause() = 0; // nothing more for now, of a run that goes on
    virtual void end() = 0;
};

class RawPrinter : public Printer {
public:
    void take(std::string_view bytes, std::int64_t) override { print_out(bytes); }
    void pause() override {}
    void end() override {}
};

class FoldingPrinter : public Printer {
public:
    FoldingPrinter(std::optional<WallTime> timestamps_from, bool keep_colours)
        : timestamps_from_(timestamps_from), folder_(keep_colours, [this](const Folder::Line& line) { put(line); }) {}

    void take(std::string_view bytes, std::int64_t time_ms) override {
        folder_.feed(bytes, time_ms);
        if (out_.size() >= kBlock) flush();
    }
    void pause() override {
        folder_.settle();
        flush();
    }
    void end() override {
        folder_.finish();
        flush();
    }
    void end_on_terminal() {
        std::string moves = folder_.finish_on_terminal();
        out_ += moves;
        flush();
    }

private:
    void put(const Folder::Line& line) {
        if (timestamps_from_ && !line.continues)
            out_.append(iso8601(*timestamps_from_ + Milliseconds(line.stamp))).append("  ");
        out_ += line.text;
        if (line.ended) out_ += '\n';
        if (out_.size() >= kBlock) flush();
    }
    void flush() {
        print_out(out_);
        out_.clear();
    }

    std::optional<WallTime> timestamps_from_;
    std::string out_;
    Folder folder_;
};

// What has been folded so far, then, as the terminal folds just as well, the bytes as they come.
class LivePrinter : public Printer {
public:
    void take(std::string_view bytes, std::int64_t time_ms) override {
        if (live_)
            print_out(bytes);
        else
            folded_.take(bytes, time_ms);
    }
    void pause() override {
        if (!live_) folded_.end_on_terminal();
        live_ = true;
    }
    void end() override { pause(); }

private:
    FoldingPrinter folded_{std::nullopt, true};
    bool live_ = false;
};

// One attempt's output.log, read piece by piece.
class LogReader {
public:
    LogReader(const fs::path& attempt_dir, const LogsArguments& arguments)
        : log_(::open((attempt_dir / "output.log").c_str(), O_RDONLY | O_CLOEXEC)), index_(attempt_dir / "output.idx"),
          uses_index_(arguments.only_stdout || arguments.only_stderr || arguments.timestamps),
          wanted_(arguments.only_stdout   ? 1
                  : arguments.only_stderr ? 2
                                          : 3),
          buffer_(kBlock, '\0') {}

    bool is_open() const { return bool(log_); }
    int file() const { return log_.get(); }
    bool uses_index() const { return uses_index_; }

    // Prints what is there; `complete`: nothing will be added. True if anything was new.
    bool print_new(Printer& printer, bool complete) {
        struct stat info{};
        if (!log_ || ::fstat(log_.get(), &info) != 0) return false;
        auto end = std::uint64_t(info.st_size);
        bool any = false;
        while (auto piece = next_piece(end, complete)) {
            any = true;
            if ((piece->stream & wanted_) != 0) print_piece(*piece, printer);
        }
        return any;
    }

private:
    std::optional<LogPiece> next_piece(std::uint64_t end, bool complete) {
        if (uses_index_) return index_.next(end, complete);
        if (position_ >= end) return std::nullopt;
        LogPiece rest{0, position_, end - position_, 3};
        position_ = end;
        return rest;
    }

    void print_piece(const LogPiece& piece, Printer& printer) {
        std::uint64_t offset = piece.offset, left = piece.length;
        while (left > 0) {
            // Small pieces come one after the other from one block.
            if (offset < block_offset_ || offset >= block_offset_ + block_size_) read_block(offset);
            if (block_size_ == 0) return; // cut short under our feet
            std::uint64_t within = offset - block_offset_;
            auto count = std::size_t(std::min(left, block_size_ - within));
            printer.take(std::string_view(buffer_).substr(std::size_t(within), count), piece.time_ms);
            offset += count;
            left -= count;
        }
    }

    void read_block(std::uint64_t offset) {
        ssize_t got;
        do got = ::pread(log_.get(), buffer_.data(), buffer_.size(), off_t(offset));
        while (got < 0 && errno == EINTR);
        if (got < 0) throw_errno("read output.log", errno);
        block_offset_ = offset;
        block_size_ = std::uint64_t(got);
    }

    Fd log_;
    LogIndex index_;
    bool uses_index_;
    int wanted_; // bits of the streams: 1 stdout, 2 stderr; 3 in the index is both in one and cannot be told apart
    std::string buffer_;
    std::uint64_t block_offset_ = 0, block_size_ = 0;
    std::uint64_t position_ = 0;
};

// The whole file by the kernel's hand; false where it cannot, and nothing has been written.
bool copy_whole_file(int log) {
    bool any = false;
    for (;;) {
        ssize_t count = ::sendfile(STDOUT_FILENO, log, nullptr, std::size_t(1) << 30);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && !any && (errno == EINVAL || errno == ENOSYS || errno == EAGAIN)) return false;
        if (count < 0 && errno == EPIPE) ::_exit(1);
        if (count < 0) throw_errno("write to standard output", errno);
        if (count == 0) return true;
        any = true;
    }
}

// Wakes when something happens in the attempt's directory, at the latest after kPollMs.
class Watch {
public:
    explicit Watch(const fs::path& dir) : notify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
        if (notify_) ::inotify_add_watch(notify_.get(), dir.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
    }
    void wait() {
        // The reader's going away must end us also while the run is silent.
        pollfd ready[] = {{notify_.get(), POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
        ::poll(ready, 2, kPollMs);
        if ((ready[1].revents & (POLLERR | POLLHUP)) != 0) ::_exit(0);
        char events[4096];
        while (notify_ && ::read(notify_.get(), events, sizeof events) > 0) {
        }
    }

private:
    Fd notify_;
};

class Follower {
public:
    Follower(const Workspace& workspace, fs::path attempt_dir)
        : workspace_(workspace), dir_(std::move(attempt_dir)), next_look_(std::chrono::steady_clock::now()) {}

    bool has_ended() {
        auto attempt = read_json(dir_ / "attempt.json");
        if (attempt && !text_of(*attempt, "ended_at").empty()) return true;
        auto now = std::chrono::steady_clock::now();
        if (now < next_look_) return false;
        next_look_ = now + kLookForLifeEvery;
        if (!attempt) return !fs::exists(dir_);
        bool dead = look_for_life(dir_, *attempt).life == Life::dead; // the claim is given back here
        if (dead) recover_abandoned_runs(workspace_);
        return dead && !text_of(read_json(dir_ / "attempt.json").value_or(json::object()), "ended_at").empty();
    }

private:
    const Workspace& workspace_;
    fs::path dir_;
    std::chrono::steady_clock::time_point next_look_;
};

// An attempt is recorded a moment before its log is there.
void wait_for_log(const Workspace& workspace, const fs::path& attempt_dir) {
    Watch watch(attempt_dir);
    Follower follower(workspace, attempt_dir);
    while (!fs::exists(attempt_dir / "output.log") && !follower.has_ended()) watch.wait();
}

// A run of a multirun may be queued.
void wait_for_turn(const Workspace& workspace, const fs::path& run_dir) {
    auto next_look = std::chrono::steady_clock::now() + kLookForLifeEvery;
    while (fs::exists(run_dir) && newest_attempt(run_dir) == 0) {
        Watch(run_dir).wait();
        if (std::chrono::steady_clock::now() < next_look) continue;
        recover_abandoned_runs(workspace); // its launcher may be dead
        next_look = std::chrono::steady_clock::now() + kLookForLifeEvery;
    }
    while (fs::exists(run_dir) && read_attempts(run_dir).empty()) Watch(run_dir / "attempts").wait();
}

void follow(LogReader& reader, Printer& printer, const Workspace& workspace, const fs::path& attempt_dir) {
    Watch watch(attempt_dir);
    Follower follower(workspace, attempt_dir);
    for (;;) {
        bool ended = follower.has_ended(); // asked first: what is written before the end is read after it
        bool any = reader.print_new(printer, ended);
        if (ended) break;
        printer.pause();
        if (!any || !reader.uses_index()) watch.wait();
    }
    printer.end();
}

std::unique_ptr<Printer> make_printer(const LogsArguments& arguments, const json& attempt) {
    if (arguments.raw) return std::make_unique<RawPrinter>();
    Terminal terminal = stdout_terminal();
    if (arguments.follow && !arguments.timestamps && terminal.colour) return std::make_unique<LivePrinter>();
    std::optional<WallTime> from;
    if (arguments.timestamps) from = parse_iso8601(text_of(attempt, "started_at")).value_or(WallTime{});
    return std::make_unique<FoldingPrinter>(from, terminal.colour);
}

int choose_attempt(const LogsArguments& arguments, const std::vector<std::pair<int, json>>& attempts,
                   const std::string& id) {
    if (attempts.empty()) throw Error(fmt::format("run {} has no attempt yet", id));
    if (!arguments.attempt) return attempts.back().first;
    std::string known;
    for (const auto& [number, attempt] : attempts) {
        if (number == *arguments.attempt) return number;
        known += fmt::format("{}{}", known.empty() ? "" : ", ", number);
    }
    throw UsageError(fmt::format("run {} has no attempt {}", id, *arguments.attempt), fmt::format("it has: {}", known));
}

} // namespace

int show_logs(const LogsArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    RunRow row = reading.index->find(arguments.run);
    auto run_dir = reading.workspace.store.run_dir(row.id);
    if (arguments.follow && !arguments.attempt) wait_for_turn(reading.workspace, run_dir);
    auto attempts = read_attempts(run_dir);
    int number = choose_attempt(arguments, attempts, row.id);
    auto attempt_dir = reading.workspace.store.attempt_dir(row.id, number);
    json attempt = read_json(attempt_dir / "attempt.json").value_or(json::object());
    bool ended = !text_of(attempt, "ended_at").empty();
    if (arguments.follow && !ended) wait_for_log(reading.workspace, attempt_dir);
    LogReader reader(attempt_dir, arguments);
    if (!reader.is_open()) {
        const auto evicted = Outbox(reading.workspace.store.run_dir(row.id)).evicted();
        const auto found = evicted.find(fmt::format("attempts/{}/output.log", number));
        if (found != evicted.end())
            throw Error(
                fmt::format("what attempt {} of run {} wrote is at {}", number, row.id, found->second.destination),
                fmt::format("`poster fetch {} 'output.*'` brings it back", row.id));
        say(fmt::format("attempt {} of run {} has no output.log", number, row.id));
        return 0;
    }
    auto printer = make_printer(arguments, attempt);
    if (arguments.follow && !ended) {
        follow(reader, *printer, reading.workspace, attempt_dir);
        return 0;
    }
    if (arguments.raw && !reader.uses_index() && copy_whole_file(reader.file())) return 0;
    reader.print_new(*printer, true);
    printer->end();
    return 0;
}

} // namespace poster
