// Scalars and images that the child writes for TensorBoard, as metrics and images of the run.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include <fmt/format.h>

#include <files.hpp>
#include <poster/callback.hpp>
#include <tfevents.hpp>

#include "child_files.hpp"
#include "tracker_log.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 256U << 10U;
constexpr auto kTickTime = 5s;
constexpr auto kReserve = 2s; // of the end hook's time
constexpr int kWalkEvery = 5; // ticks
constexpr double kNotYet = std::numeric_limits<double>::max();

bool is_event_file(const fs::path& path) {
    const std::string name = path.filename();
    return name.find("tfevents") != std::string::npos && !name.ends_with(".profile-empty");
}

// A file that is being read.
struct Followed {
    fs::path file;
    std::uint64_t offset = 0;
    enum class State { unknown, ours, refused } state = State::unknown; // until its first event is seen
    std::string prefix;                                                 // of its tags
};

class TensorBoard : public Callback {
public:
    static constexpr bool kAddsEvents = true;
    static constexpr Milliseconds kShortestRun = kTrackedRun;

    explicit TensorBoard(const Settings& settings)
        : images_(settings.flag("tensorboard.images")),
          image_limit_(static_cast<std::uint64_t>(std::max(0L, settings.integer("tensorboard.image_limit")))) {}

    Milliseconds interval() const override { return 2s; }

    void on_tick(const Run& run) override {
        begin(run);
        note(run, files_->open_files());
        if (ticks_ < 2 || ticks_ % kWalkEvery == 0) note(run, files_->changed_files(2000, 20ms));
        ++ticks_;
        read_on(run, Clock::now() + kTickTime);
    }

    void on_end(const Run& run, const Outcome& outcome, Deadline deadline) override {
        begin(run);
        note(run, files_->changed_files(100'000, std::clamp<Milliseconds>(outcome.duration / 20, 20ms, 1s)));
        read_on(run, deadline - kReserve);
    }

private:
    void begin(const Run& run) {
        if (files_) return;
        std::vector<fs::path> places = directories_in_arguments(run.spec);
        for (const char* usual : {"runs", "lightning_logs", "logs"}) places.emplace_back(usual);
        places.push_back(run.dir / "files");
        places.emplace_back(".");
        files_ = std::make_unique<ChildFiles>(run, is_event_file, std::move(places));
        log_ = std::make_unique<TrackerLog>(run, "tensorboard");
        for (const auto& [file, cursor] : log_->earlier()) {
            files_->know(file);
            Followed& it = followed_.emplace_back();
            it.file = file;
            it.offset = cursor.offset;
            it.state = Followed::State::ours;
            it.prefix = cursor.more.value("prefix", "");
            if (it.prefix.empty() && root_.empty()) root_ = file.parent_path();
        }
    }

    // The writer that began first is the main one, also where another one flushes earlier.
    void note(const Run& run, const std::vector<fs::path>& found) {
        std::multimap<std::pair<double, double>, fs::path> by_time; // a file system's clock is a coarse one
        for (const auto& file : found) by_time.emplace(std::pair(made_at(file), first_event_at(file)), file);
        for (const auto& [times, file] : by_time) {
            followed_.emplace_back().file = file;
            const double begin = times.first > 0 ? times.first : times.second;
            if (root_.empty() && begin >= start_of(run) && begin < kNotYet) root_ = file.parent_path();
        }
    }

    static double start_of(const Run& run) {
        return std::chrono::duration<double>(run.started_at.time_since_epoch()).count();
    }

    // In seconds since 1970; 0: the file system does not tell.
    static double made_at(const fs::path& file) {
        struct statx facts{};
        if (::statx(AT_FDCWD, file.c_str(), 0, STATX_BTIME, &facts) != 0 || (facts.stx_mask & STATX_BTIME) == 0)
            return 0;
        return double(facts.stx_btime.tv_sec) + double(facts.stx_btime.tv_nsec) / 1e9;
    }

    static double first_event_at(const fs::path& file) {
        if (::access(file.c_str(), R_OK) != 0) return kNotYet;
        const auto first = TfEventReader(file, 0).next();
        return first && !std::isnan(first->time) ? first->time : kNotYet;
    }

    void read_on(const Run& run, Clock::time_point limit) {
        for (auto& it : followed_) {
            std::error_code failure;
            if (it.state == Followed::State::refused || fs::file_size(it.file, failure) <= it.offset || failure)
                continue;
            if (Clock::now() >= limit) return;
            if (::access(it.file.c_str(), R_OK) == 0) read_events(run, it, limit);
        }
    }

    void read_events(const Run& run, Followed& it, Clock::time_point limit) {
        TfEventReader reader(it.file, it.offset);
        const auto commit = [&] {
            log_->commit(it.file, {reader.offset(), {{"prefix", it.prefix}}});
            it.offset = reader.offset();
        };
        while (auto event = reader.next()) {
            if (it.state == Followed::State::unknown && !accept(run, it, *event)) return;
            take(run, it.prefix, *event);
            if (log_->pending_bytes() < kBatch) continue;
            commit();
            if (Clock::now() >= limit) return;
        }
        if (reader.offset() > it.offset) commit();
    }

    // Its first event tells when the file was made.
    bool accept(const Run& run, Followed& it, const TfEvent& first) {
        it.state = first.time < start_of(run) ? Followed::State::refused : Followed::State::ours;
        if (it.state == Followed::State::refused) return false;
        it.prefix = prefix_of(it.file.parent_path());
        return true;
    }

    // Several writers of one program may use the same tags, each in a folder of its own, as Keras does with `train` and
    // `validation`: the tags of all but the first one get what tells their folder from the first.
    std::string prefix_of(const fs::path& folder) {
        if (root_.empty()) root_ = folder;
        if (folder == root_) return {};
        const fs::path below_root = folder.lexically_relative(root_);
        if (*below_root.begin() != "..") return below_root.string() + "/";
        const fs::path beside_root = folder.lexically_relative(root_.parent_path());
        return (*beside_root.begin() != ".." ? beside_root : folder.filename()).string() + "/";
    }

    void take(const Run& run, const std::string& prefix, const TfEvent& event) {
        if (!event.scalars.empty()) {
            std::vector<TrackerLog::Value> values;
            for (const auto& scalar : event.scalars)
                values.push_back({prefix + scalar.tag, scalar.value, scalar.single});
            log_->add_metric(event.time, event.step, values);
        }
        for (const auto& image : event.images) {
            if (!images_ || image_bytes_ + image.bytes.size() > image_limit_) continue;
            image_bytes_ += image.bytes.size();
            if (auto stored = store_image(run, prefix + image.tag, event.step, event.time, image.bytes))
                log_->add(*stored);
        }
    }

    bool images_;
    std::uint64_t image_limit_, image_bytes_ = 0;
    std::unique_ptr<ChildFiles> files_;
    std::unique_ptr<TrackerLog> log_;
    std::vector<Followed> followed_;
    fs::path root_; // folder of the first event file
    int ticks_ = 0;
};

} // namespace

extern const CallbackEntry tensorboard_callback;
const CallbackEntry tensorboard_callback = callback_entry<TensorBoard>(
    "tensorboard", "scalars and images that the command writes for TensorBoard",
    {{"tensorboard.images", OptionType::flag, "true", "false: only the scalars"},
     {"tensorboard.image_limit", OptionType::integer, "1000000000", "bytes of images kept with an attempt, in all"}},
    [](const Settings&) { return Activation{true, "always; reads event files that the command writes"}; });

} // namespace poster
