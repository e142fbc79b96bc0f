// What the child logs to MLflow's file store: RUN/metrics/NAME holds lines "milliseconds value step", RUN/params/NAME a
// value.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>

#include <nlohmann/json.hpp>

#include <files.hpp>
#include <poster/callback.hpp>
#include <redact.hpp>
#include <redact_values.hpp>
#include <text.hpp>

#include "child_files.hpp"
#include "tracker_log.hpp"

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 256U << 10U;
constexpr auto kTickTime = 5s;
constexpr auto kReserve = 2s; // of the end hook's time

enum class Content { metric, parameter };

struct Followed {
    fs::path file, run; // the run's folder
    Content content = Content::metric;
    std::string name;
    std::uint64_t offset = 0;
};

// A metric may be named "a/b": its file is RUN/metrics/a/b.
std::optional<Followed> recognise(const fs::path& file) {
    std::string name = file.filename();
    std::error_code failure;
    for (fs::path folder = file.parent_path(); folder.has_relative_path(); folder = folder.parent_path()) {
        const std::string kind = folder.filename();
        if ((kind == "metrics" || kind == "params") && fs::exists(folder.parent_path() / "meta.yaml", failure))
            return Followed{file, folder.parent_path(), kind == "metrics" ? Content::metric : Content::parameter, name};
        name = kind + "/" + name;
    }
    return std::nullopt;
}

// Of "key: value" lines, quotes taken off.
std::string yaml_value(const fs::path& file, const std::string& key) {
    for (const auto& line : split(read_file(file).value_or(""), '\n')) {
        if (!line.starts_with(key + ": ")) continue;
        std::string value = line.substr(key.size() + 2);
        std::erase(value, '\'');
        return value;
    }
    return {};
}

template <typename Number>
bool read_number(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

// A parameter is text to MLflow; what reads as a number or a truth value is one.
json typed(const std::string& text) {
    if (text == "True" || text == "true") return true;
    if (text == "False" || text == "false") return false;
    if (text == "None") return nullptr;
    std::int64_t whole = 0;
    double real = 0;
    if (read_number(text, whole)) return whole;
    if (read_number(text, real) && std::isfinite(real)) return real;
    return text;
}

class Mlflow : public Callback {
public:
    static constexpr bool kAddsEvents = true;
    static constexpr Milliseconds kShortestRun = kTrackedRun;

    explicit Mlflow(const Settings& settings)
        : redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    Milliseconds interval() const override { return 2s; }

    void on_tick(const Run& run) override {
        begin(run);
        note(run, files_->open_files());
        note(run, files_->changed_files(2000, 20ms));
        read_on(run, Clock::now() + kTickTime);
    }

    void on_end(const Run& run, const Outcome&, Deadline deadline) override {
        begin(run);
        note(run, files_->changed_files(50'000, 500ms));
        read_on(run, deadline - kReserve);
    }

private:
    void begin(const Run& run) {
        if (files_) return;
        std::vector<fs::path> places{"mlruns"};
        std::string store = environment_of_child(run.spec, "MLFLOW_TRACKING_URI");
        if (store.starts_with("file://")) store.erase(0, 7);
        if (store.starts_with("file:")) store.erase(0, 5);
        if (!store.empty() && store.find("://") == std::string::npos) places.emplace_back(store);
        const auto matches = [](const fs::path& file) { return recognise(file).has_value(); };
        files_ = std::make_unique<ChildFiles>(run, matches, std::move(places));
        log_ = std::make_unique<TrackerLog>(run, "mlflow");
        for (const auto& [file, cursor] : log_->earlier()) {
            files_->know(file);
            follow(run, file, cursor.offset);
        }
    }

    void note(const Run& run, const std::vector<fs::path>& found) {
        for (const auto& file : found) follow(run, file, 0);
    }

    void follow(const Run& run, const fs::path& file, std::uint64_t offset) {
        auto it = recognise(file);
        if (!it) return;
        it->offset = offset;
        const fs::path folder = it->run;
        followed_.push_back(std::move(*it));
        if (runs_.contains(folder)) return;
        runs_[folder] = {{"run_id", yaml_value(folder / "meta.yaml", "run_id")},
                         {"name", yaml_value(folder / "meta.yaml", "run_name")},
                         {"experiment_id", yaml_value(folder / "meta.yaml", "experiment_id")},
                         {"directory", folder.string()}};
        json runs = json::array();
        for (const auto& [path, facts] : runs_) runs.push_back(facts);
        run.record("mlflow", {{"runs", runs}});
    }

    void read_on(const Run& run, Clock::time_point limit) {
        for (auto& it : followed_) {
            std::error_code failure;
            if (fs::file_size(it.file, failure) <= it.offset || failure) continue;
            if (Clock::now() >= limit) return;
            if (it.content == Content::metric)
                read_metric(run, it, limit);
            else
                read_parameter(it);
        }
    }

    void commit(Followed& it, std::uint64_t offset) {
        log_->commit(it.file, {offset});
        it.offset = offset;
    }

    void read_metric(const Run& run, Followed& it, Clock::time_point limit) {
        std::ifstream file(it.file);
        file.seekg(static_cast<std::streamoff>(it.offset));
        std::uint64_t offset = it.offset;
        for (std::string line; std::getline(file, line) && !file.eof();) { // a last line without its newline waits
            offset += line.size() + 1;
            take_point(run, it.name, line);
            if (log_->pending_bytes() < kBatch) continue;
            commit(it, offset);
            if (Clock::now() >= limit) return;
        }
        if (offset > it.offset) commit(it, offset);
    }

    void take_point(const Run& run, const std::string& name, const std::string& line) {
        const auto words = split(line, ' ');
        std::int64_t milliseconds = 0, step = 0;
        double value = 0;
        if (words.size() < 2 || !read_number(words[0], milliseconds) || !read_number(words[1], value)) return;
        // Of an earlier attempt, where this one takes its run up again.
        if (milliseconds < run.started_at.time_since_epoch().count()) return;
        const bool has_step = words.size() > 2 && read_number(words[2], step);
        log_->add_metric(static_cast<double>(milliseconds) / 1000,
                         has_step ? std::optional<std::int64_t>(step) : std::nullopt, {{name, value}});
    }

    void read_parameter(Followed& it) {
        auto text = read_file(it.file);
        if (!text || text->empty()) return;
        log_->add({{"kind", "config"}, {"values", redacted_values(redactor_, "", {{it.name, typed(*text)}})}});
        commit(it, text->size());
    }

    Redactor redactor_;
    std::unique_ptr<ChildFiles> files_;
    std::unique_ptr<TrackerLog> log_;
    std::vector<Followed> followed_;
    std::map<fs::path, json> runs_; // by their folders
};

} // namespace

extern const CallbackEntry mlflow_callback;
const CallbackEntry mlflow_callback = callback_entry<Mlflow>(
    "mlflow", "what the command logs to a file store of MLflow",
    {{"mlflow.steer", OptionType::flag, "false", "a continued run goes on with its MLflow run"}},
    [](const Settings&) { return Activation{true, "always; reads the file stores that the command writes"}; });

} // namespace poster
