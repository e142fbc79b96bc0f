// What the child logs to Weights & Biases, read from the .wandb file that its library writes.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include <nlohmann/json.hpp>

#include <files.hpp>
#include <poster/callback.hpp>
#include <records.hpp>
#include <redact.hpp>
#include <redact_values.hpp>
#include <wandb_log.hpp>

#include "child_files.hpp"
#include "tracker_log.hpp"

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 256U << 10U;
constexpr auto kTickTime = 5s;
constexpr auto kReserve = 2s;        // of the end hook's time
constexpr std::size_t kDeepest = 16; // of nested values

bool is_wandb_log(const fs::path& path) {
    return path.extension() == ".wandb";
}

// A bare NaN is no JSON. nullopt: it cannot be read.
std::optional<json> parse_value(const std::string& text) {
    if (text == "NaN" || text == "Infinity" || text == "-Infinity") return json(text);
    json value = json::parse(text, nullptr, false);
    if (value.is_discarded()) return std::nullopt;
    return value;
}

std::optional<double> metric_of(const json& value) {
    if (value.is_number()) return value.get<double>();
    if (value == "NaN") return std::nan("");
    if (value == "Infinity") return INFINITY;
    if (value == "-Infinity") return -INFINITY;
    return std::nullopt;
}

// A record tells each value within a value by its path.
void put(json& values, const WandbItem& item) {
    auto value = parse_value(item.json);
    if (!value || item.path.size() > kDeepest) return;
    json* place = &values;
    for (const auto& key : item.path) {
        if (!place->is_object()) *place = json::object();
        place = &(*place)[key];
    }
    *place = std::move(*value);
}

bool is_of_wandb_itself(const std::string& key) {
    return key.starts_with("_");
}

struct Followed {
    fs::path file;
    std::uint64_t offset = 0;
    bool refused = false; // its run began before the attempt
    json facts = json::object();
};

class Wandb : public Callback {
public:
    static constexpr bool kAddsEvents = true;
    static constexpr Milliseconds kShortestRun = kTrackedRun;

    explicit Wandb(const Settings& settings)
        : redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    Milliseconds interval() const override { return 2s; }

    bool wants(std::string_view kind) const override { return kind == "uses"; }

    void on_event(const Run& run, const Event& event) override {
        if (!uses_wandb_ && text_of(event.data(), "module") == "wandb") found_use(run);
    }

    void on_tick(const Run& run) override {
        begin(run);
        note(run, files_->open_files());
        read_on(run, Clock::now() + kTickTime);
    }

    void on_end(const Run& run, const Outcome&, Deadline deadline) override {
        begin(run);
        note(run, files_->changed_files(20'000, 500ms));
        read_on(run, deadline - kReserve);
        if (!summary_.empty()) log_->add({{"kind", "summary"}, {"values", redacted_values(redactor_, "", summary_)}});
        if (log_->pending_bytes() > 0) log_->commit(followed_.front().file, cursor_of(followed_.front()));
    }

private:
    void begin(const Run& run) {
        if (files_) return;
        std::vector<fs::path> places{"wandb", run.dir / "wandb"};
        if (std::string folder = environment_of_child(run.spec, "WANDB_DIR"); !folder.empty())
            places.push_back(fs::path(folder) / "wandb");
        files_ = std::make_unique<ChildFiles>(run, is_wandb_log, std::move(places));
        log_ = std::make_unique<TrackerLog>(run, "wandb");
        for (const auto& [file, cursor] : log_->earlier()) {
            files_->know(file);
            Followed& it = followed_.emplace_back();
            it.file = file;
            it.facts = cursor.more.value("facts", json::object());
            recall_summary(it.file, cursor.offset);
            it.offset = cursor.offset;
        }
    }

    void found_use(const Run& run) {
        uses_wandb_ = true;
        run.interrupt_first();
    }

    void note(const Run& run, const std::vector<fs::path>& found) {
        if (!found.empty() && !uses_wandb_) found_use(run);
        for (const auto& file : found) followed_.emplace_back().file = file;
    }

    static TrackerLog::Cursor cursor_of(const Followed& it) { return {it.offset, {{"facts", it.facts}}}; }

    // What the host before this one has read is known again, for the summary alone.
    void recall_summary(const fs::path& file, std::uint64_t end) {
        if (::access(file.c_str(), R_OK) != 0) return;
        WandbLogReader reader(file, 0);
        while (reader.offset() < end) {
            const auto record = reader.next();
            if (!record) return;
            if (record->kind == WandbRecord::Kind::summary) take_summary(*record);
        }
    }

    void read_on(const Run& run, Clock::time_point limit) {
        for (auto& it : followed_) {
            std::error_code failure;
            if (it.refused || fs::file_size(it.file, failure) <= it.offset || failure) continue;
            if (Clock::now() >= limit) return;
            if (::access(it.file.c_str(), R_OK) == 0) read_records(run, it, limit);
        }
    }

    void read_records(const Run& run, Followed& it, Clock::time_point limit) {
        WandbLogReader reader(it.file, it.offset);
        const std::uint64_t before = std::max(it.offset, reader.offset());
        const auto commit = [&] {
            Followed next = it;
            next.offset = reader.offset();
            log_->commit(it.file, cursor_of(next));
            it.offset = next.offset;
        };
        while (auto record = reader.next()) {
            take(run, it, *record);
            if (it.refused) return;
            if (log_->pending_bytes() < kBatch) continue;
            commit();
            if (Clock::now() >= limit) return;
        }
        if (reader.offset() > before) commit();
    }

    void take(const Run& run, Followed& it, const WandbRecord& record) {
        using Kind = WandbRecord::Kind;
        switch (record.kind) {
        case Kind::run: take_run(run, it, record); break;
        case Kind::config: take_config(record); break;
        case Kind::history: take_history(run, it, record); break;
        case Kind::summary: take_summary(record); break;
        case Kind::exit:
            it.facts["exit_code"] = record.exit_code.value_or(0);
            tell_facts(run);
            break;
        case Kind::other: break;
        }
    }

    void take_run(const Run& run, Followed& it, const WandbRecord& record) {
        const double start = std::chrono::duration<double>(run.started_at.time_since_epoch()).count();
        it.refused = it.facts.empty() && record.started_at > 0 && record.started_at < start;
        if (it.refused) return;
        it.facts["directory"] = it.file.parent_path().string();
        for (const auto& [key, value] : {std::pair<const char*, const std::string&>{"id", record.id},
                                         {"entity", record.entity},
                                         {"project", record.project},
                                         {"name", record.name},
                                         {"group", record.group}})
            if (!value.empty()) it.facts[key] = value;
        tell_facts(run);
        take_config(record);
    }

    void tell_facts(const Run& run) const {
        json runs = json::array();
        for (const auto& it : followed_)
            if (!it.facts.empty()) runs.push_back(it.facts);
        run.record("wandb", {{"runs", runs}});
    }

    void take_config(const WandbRecord& record) {
        json values = json::object();
        for (const auto& item : record.items)
            if (!is_of_wandb_itself(item.path.front())) put(values, item);
        if (!values.empty()) log_->add({{"kind", "config"}, {"values", redacted_values(redactor_, "", values)}});
    }

    void take_summary(const WandbRecord& record) {
        for (const auto& item : record.items)
            if (!is_of_wandb_itself(item.path.front())) put(summary_, item);
    }

    // A program may have several W&B runs: the metrics of all but the first begin with the id of theirs.
    std::string prefix_of(const Followed& it) const {
        const auto first = std::find_if(followed_.begin(), followed_.end(),
                                        [](const Followed& one) { return one.facts.contains("id"); });
        if (first == followed_.end() || !it.facts.contains("id") || first->facts["id"] == it.facts["id"]) return {};
        return it.facts["id"].get<std::string>() + "/";
    }

    struct Row {
        std::optional<std::int64_t> step;
        double time = 0;
        std::vector<TrackerLog::Value> values{};
        std::vector<std::pair<std::string, json>> media{};
    };

    void take_history(const Run& run, const Followed& it, const WandbRecord& record) {
        json whole = json::object();
        for (const auto& item : record.items) put(whole, item);
        Row row{record.step, metric_of(whole.value("_timestamp", json())).value_or(0)};
        if (const json step = whole.value("_step", json()); step.is_number_integer())
            row.step = step.get<std::int64_t>();
        const std::string prefix = prefix_of(it);
        for (const auto& [key, value] : whole.items())
            if (!is_of_wandb_itself(key)) take_value(row, prefix + key, value, 0);
        if (!row.values.empty()) log_->add_metric(row.time, row.step, row.values);
        for (const auto& [name, value] : row.media) take_media(run, it, row, name, value);
    }

    static void take_value(Row& row, const std::string& name, const json& value, std::size_t depth) {
        if (auto number = metric_of(value)) row.values.push_back({name, *number});
        if (!value.is_object() || depth > kDeepest) return;
        if (value.contains("_type"))
            row.media.emplace_back(name, value);
        else
            for (const auto& [key, inner] : value.items()) take_value(row, name + "." + key, inner, depth + 1);
    }

    void take_media(const Run& run, const Followed& it, const Row& row, const std::string& name, const json& value) {
        std::vector<std::string> paths;
        if (value["_type"] == "image-file" && value.value("path", json()).is_string()) paths.push_back(value["path"]);
        if (value["_type"] == "images/separated" && value.value("filenames", json()).is_array())
            for (const auto& path : value["filenames"])
                if (path.is_string()) paths.push_back(path);
        for (const auto& path : paths) {
            const fs::path below = fs::path(path).lexically_normal();
            if (below.empty() || below.is_absolute() || *below.begin() == "..") continue;
            if (auto bytes = read_file(it.file.parent_path() / "files" / below))
                if (auto stored = store_image(run, name, row.step, row.time, *bytes)) log_->add(*stored);
        }
    }

    Redactor redactor_;
    std::unique_ptr<ChildFiles> files_;
    std::unique_ptr<TrackerLog> log_;
    std::vector<Followed> followed_;
    json summary_ = json::object();
    bool uses_wandb_ = false;
};

} // namespace

extern const CallbackEntry wandb_callback;
const CallbackEntry wandb_callback = callback_entry<Wandb>(
    "wandb", "what the command logs to Weights & Biases",
    {{"wandb.steer", OptionType::flag, "false", "all attempts of a run are one W&B run, in its directory"},
     {"wandb.mode", OptionType::text, "",
      "WANDB_MODE of the command, where wandb.steer is on and the user has set none"}},
    [](const Settings&) { return Activation{true, "always; reads the .wandb files that the command writes"}; });

} // namespace poster
