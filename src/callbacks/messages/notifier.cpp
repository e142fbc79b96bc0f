#include "notifier.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>
#include <sha256.hpp>
#include <text.hpp>

#include "last_lines.hpp"
#include "notice.hpp"
#include "registry.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::size_t kMostMetrics = 8;
constexpr std::size_t kMostText = 12'000; // bytes of what a program wants told
constexpr std::size_t kDigest = 12;
constexpr long kMostLines = 100;
constexpr auto kStalledByDefault = 30min;

// In the order of their gravity.
constexpr std::array<std::string_view, 4> kLevels{"debug", "info", "warning", "error"};

const std::vector<std::string>& words_of_on() {
    static const std::vector<std::string> kWords{"start",     "end",  "finished", "failed", "killed",  "timeout",
                                                 "preempted", "lost", "message",  "metric", "stalled", "notify"};
    return kWords;
}

// "warn" and "ERROR" mean something, too; "critical" and "fatal" are no less than an error.
std::optional<int> level_of(std::string level) {
    std::transform(level.begin(), level.end(), level.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    if (level == "warn") level = "warning";
    if (level == "critical" || level == "fatal") level = "error";
    const auto found = std::find(kLevels.begin(), kLevels.end(), level);
    return found == kLevels.end() ? std::nullopt : std::optional(int(found - kLevels.begin()));
}

[[noreturn]] void refuse(const Settings& settings, const std::string& key, const std::string& why,
                         const std::string& help) {
    throw UsageError(fmt::format("setting '{}' ({}): {}", key, settings.values().at(key).source, why), help);
}

std::uint64_t size_of(const fs::path& file) {
    std::error_code none;
    const auto size = fs::file_size(file, none);
    return none ? 0 : size;
}

// What the program has printed and logged.
std::uint64_t bytes_of(const fs::path& attempt_dir) {
    std::uint64_t bytes = size_of(attempt_dir / "output.log");
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(attempt_dir / "events", none)) bytes += size_of(entry.path());
    return bytes;
}

// Where the run's copies go, by the callbacks that keep some.
std::vector<std::string> copies_of(const Run& run, const Settings& settings) {
    std::vector<std::string> places;
    for (const auto* entry : registry()) {
        if (!entry->hooks.remote || !activation_of(*entry, settings).on) continue;
        try {
            if (const auto remote = entry->create(settings)->remote())
                places.push_back(fmt::format("{}/runs/{}", remote->destination(), run.id));
        } catch (const std::exception&) {
            continue; // the remote itself tells what is wrong with it
        }
    }
    return places;
}

// The launcher of the multirun lives: it is the one that tells how the runs end.
bool has_launcher(const Run& run) {
    if (run.spec.group.empty()) return false;
    const auto queue = read_file(run.store / "queues" / (run.spec.group + ".jsonl"));
    if (!queue) return false;
    const json head = json::parse(queue->substr(0, queue->find('\n')), nullptr, false);
    return text_of(head, "host") != host_name() || is_alive(owner_of(head));
}

std::string digest(std::string_view words) {
    return sha256_hex(words).substr(0, kDigest);
}

// The same event, whoever reads it.
std::string digest(const Event& event) {
    return digest(fmt::format("{}\n{}", event.writer(), event.line()));
}

// The program says where the image is: nothing but what is in its run is sent.
bool is_below_run(const fs::path& path) {
    return !path.empty() && path.is_relative() && std::find(path.begin(), path.end(), "..") == path.end();
}

std::string cut(const std::string& text) {
    if (text.size() <= kMostText) return text;
    return valid_utf8(text.substr(0, kMostText)) + fmt::format("\n… {} more bytes", text.size() - kMostText);
}

double seconds(WallTime time) {
    return double(time.time_since_epoch().count()) / 1000;
}

} // namespace

std::vector<Option> notifier_options(const std::string& section) {
    const auto key = [&](const char* name) { return section + "." + name; };
    return {
        {key("on"), OptionType::list, "finished,failed,killed,timeout,lost,notify",
         "what is told: start, end (any), finished, failed, killed, timeout, preempted, lost, notify …"},
        {key("when"), OptionType::list, "", "conditions of metrics that are told of, such as 'val_loss > 10'"},
        {key("level"), OptionType::text, "", "messages logged at this level or above are told: debug … error"},
        {key("stalled_after"), OptionType::duration, "", "without output or an event for so long a run is told of"},
        {key("multirun"), OptionType::text, "summary", "of a multirun's runs: summary, each or none"},
        {key("lines"), OptionType::integer, "15", "last lines of a run that failed"},
    };
}

void check_notifier_settings(const std::string& section, const Settings& settings) {
    const auto key = [&](const char* name) { return section + "." + name; };
    for (const auto& word : settings.list(key("on"))) {
        const auto& words = words_of_on();
        if (std::find(words.begin(), words.end(), word) != words.end()) continue;
        const std::string near = closest(word, words);
        refuse(settings, key("on"), fmt::format("'{}' is nothing to tell of", word),
               near.empty() ? fmt::format("the words are {}", fmt::join(words, ", "))
                            : fmt::format("did you mean '{}'?", near));
    }
    for (const auto& text : settings.list(key("when"))) {
        try {
            if (!Where::parse(text, Vocabulary::metrics).names().empty()) continue;
        } catch (const UsageError& error) {
            refuse(settings, key("when"), error.what(), error.help());
        }
        refuse(settings, key("when"), fmt::format("'{}' names no metric", text), "for example 'val_loss > 10'");
    }
    if (const auto level = settings.text(key("level")); !level.empty() && !level_of(level))
        refuse(settings, key("level"), fmt::format("'{}' is no level", level), "debug, info, warning or error");
    const auto multirun = settings.text(key("multirun"));
    if (multirun != "summary" && multirun != "each" && multirun != "none")
        refuse(settings, key("multirun"), fmt::format("'{}' is not known", multirun), "summary, each or none");
    if (const long lines = settings.integer(key("lines")); lines < 0 || lines > kMostLines)
        refuse(settings, key("lines"), "too many or too few", fmt::format("from 0 to {}", kMostLines));
}

json test_facts() {
    return {{"kind", "test"},
            {"host", host_name()},
            {"time", seconds(wall_now())},
            {"text", "Messages about your runs will look like this one."}};
}

Notifier::Notifier(std::string section, const Settings& settings)
    : section_(std::move(section)), settings_(settings),
      redactor_(settings.list("capture.redact"), settings.list("capture.keep")),
      multirun_(settings.text(section_ + ".multirun")), lines_(std::size_t(settings.integer(section_ + ".lines"))),
      stalled_after_(settings.duration(section_ + ".stalled_after")),
      level_(level_of(settings.text(section_ + ".level"))) {
    for (auto& word : settings.list(section_ + ".on")) on_.insert(std::move(word));
    if (tells("stalled") && stalled_after_ <= 0ms) stalled_after_ = kStalledByDefault;
    if (tells("message") && !level_) level_ = level_of("warning");
    for (auto& text : settings.list(section_ + ".when")) {
        Where where = Where::parse(text, Vocabulary::metrics);
        conditions_.push_back({std::move(text), std::move(where)});
    }
}

// ---- what is told of a run

void Notifier::on_start(const Run& run) {
    if (tells("start") && tells_of_single_runs(run)) queue(run, "start", facts_of(run, "start", run.started_at));
}

bool Notifier::wants(std::string_view kind) const {
    if (kind == "message") return level_.has_value();
    if (kind == "notify" || kind == "image") return tells("notify");
    return kind == "metric";
}

void Notifier::on_event(const Run& run, const Event& event) {
    if (event.kind() == "metric") {
        on_metric(run, event);
    } else if (event.kind() == "message") {
        on_message(run, event);
    } else if (event.kind() == "image") {
        on_image(run, event);
    } else {
        json facts = facts_of(run, "notify", event.time());
        facts["text"] = clean(cut(text_of(event.data(), "text")));
        queue(run, "notify/" + digest(event), std::move(facts));
    }
}

void Notifier::on_metric(const Run& run, const Event& event) {
    const MetricLine* line = parser_.parse(event.line());
    if (line == nullptr) return;
    const double now = line->time.value_or(seconds(wall_now()));
    totals_.add(*line, event.writer(), now);
    if (conditions_.empty()) return;
    const std::int64_t rank = line->rank.value_or(0);
    const auto note = [&](std::string_view name, double value) {
        auto found = last_.find(name);
        if (found == last_.end()) found = last_.emplace(name, Last{value, rank}).first;
        if (rank <= found->second.rank) found->second = {value, rank};
    };
    if (line->step) note("step", double(*line->step));
    if (line->epoch) note("epoch", *line->epoch);
    for (const auto& [name, value] : line->values) note(name, value);
    for (auto& condition : conditions_) {
        const bool before = condition.holds;
        condition.holds = holds(condition);
        if (before || !condition.holds || !condition.limiter.allow(now)) continue;
        json facts = facts_of(run, "metric", WallTime{Milliseconds{std::llround(now * 1000)}});
        facts["condition"] = condition.text;
        if (const auto left_out = condition.limiter.take_left_out(); left_out > 0) facts["left_out"] = left_out;
        add_metrics(facts);
        queue(run, fmt::format("metric/{}/{}", digest(condition.text), digest(event)), std::move(facts));
    }
}

bool Notifier::holds(const Condition& condition) const {
    return condition.where.holds([&](const std::string& name) -> std::vector<Value> {
        auto found = last_.find(name);
        // As `ls --where` spells it.
        if (found == last_.end() && name.starts_with("metrics."))
            found = last_.find(std::string_view(name).substr(std::string_view("metrics.").size()));
        if (found == last_.end()) return {Value{}};
        const double value = found->second.value;
        return {std::isnan(value) ? Value("nan") : Value(value)};
    });
}

void Notifier::on_message(const Run& run, const Event& event) {
    const auto level = level_of(text_of(event.data(), "level"));
    if (!level || !level_ || *level < *level_ || !messages_.allow(seconds(event.time()))) return;
    json facts = facts_of(run, "message", event.time());
    facts["level"] = kLevels[std::size_t(*level)];
    facts["text"] = clean(cut(text_of(event.data(), "text")));
    if (const auto left_out = messages_.take_left_out(); left_out > 0) facts["left_out"] = left_out;
    queue(run, "message/" + digest(event), std::move(facts));
}

fs::path Notifier::image_of(const Run& run, const json& facts) {
    const fs::path named = text_of(member(facts, "image"), "path");
    std::error_code failure;
    const fs::path root = fs::canonical(run.dir, failure);
    const fs::path whole = failure ? fs::path() : fs::canonical(root / named, failure);
    const bool is_there = !failure && is_below_run(named) && whole.native().starts_with(root.native() + '/');
    return is_there ? whole : root / "images" / "not-there" / named.filename();
}

void Notifier::on_image(const Run& run, const Event& event) {
    const json& image = event.data();
    if (member(image, "notify") != true || !is_below_run(text_of(image, "path"))) return;
    json facts = facts_of(run, "image", event.time());
    facts["image"] = {{"path", text_of(image, "path")}, {"name", clean(text_of(image, "name"))}};
    if (const auto& step = member(image, "step"); step.is_number()) facts["image"]["step"] = step;
    if (const auto caption = text_of(image, "caption"); !caption.empty()) facts["caption"] = clean(cut(caption));
    queue(run, "image/" + text_of(image, "path"), std::move(facts));
}

Milliseconds Notifier::interval() const {
    return stalled_after_ <= 0ms ? 0ms : std::clamp<Milliseconds>(stalled_after_ / 10, 100ms, 30s);
}

void Notifier::on_tick(const Run& run) {
    const std::uint64_t bytes = bytes_of(run.attempt_dir());
    const auto now = Clock::now();
    if (bytes != bytes_) {
        bytes_ = bytes;
        grew_at_ = now;
        told_of_silence_ = false;
    }
    if (told_of_silence_ || now - grew_at_ < stalled_after_) return;
    told_of_silence_ = true;
    json facts = facts_of(run, "stalled", wall_now());
    facts["silent_s"] = std::chrono::duration<double>(now - grew_at_).count();
    add_metrics(facts);
    add_lines(facts, run, false);
    // A host that was started anew in the same silence says nothing new.
    queue(run, fmt::format("stalled/{}", bytes), std::move(facts));
}

void Notifier::on_end(const Run& run, const Outcome& outcome, Deadline) {
    const std::string status(to_string(outcome.status));
    if (!(tells("end") || tells(status)) || !tells_of_single_runs(run)) return;
    json facts = facts_of(run, "end", outcome.ended_at);
    facts["status"] = status;
    facts["reason"] = clean(outcome.reason);
    facts["duration_s"] = double(outcome.duration.count()) / 1000;
    if (!outcome.error.empty()) facts["error"] = clean(outcome.error);
    add_metrics(facts);
    if (outcome.status != Status::finished) add_lines(facts, run, true);
    queue(run, "end", std::move(facts));
}

void Notifier::on_group_end(const Run& run, const GroupOutcome& outcome) {
    if (multirun_ != "summary") return;
    const bool wanted = tells("end") || std::any_of(outcome.runs.begin(), outcome.runs.end(), [&](const auto& it) {
                            return tells(std::string(to_string(it.status)));
                        });
    if (!wanted) return;
    json facts = facts_of(run, "summary", outcome.started_at + outcome.duration);
    facts["duration_s"] = double(outcome.duration.count()) / 1000;
    facts["runs"] = json::array();
    for (const auto& ended : outcome.runs)
        facts["runs"].push_back({{"id", ended.id},
                                 {"name", clean(ended.name)},
                                 {"status", std::string(to_string(ended.status))},
                                 {"reason", clean(ended.reason)}});
    // `continue --group` makes another one of the same group.
    queue(run, fmt::format("summary/{}", compact_utc(outcome.started_at)), std::move(facts));
}

// Of a multirun there is one summary.
bool Notifier::tells_of_single_runs(const Run& run) const {
    return multirun_ == "each" || !has_launcher(run);
}

// ---- facts

std::string Notifier::clean(const std::string& text) const {
    return redactor_.text(valid_utf8(text));
}

json Notifier::facts_of(const Run& run, const std::string& kind, WallTime time) const {
    json facts{{"kind", kind},
               {"id", run.id},
               {"attempt", run.attempt},
               {"host", host_name()},
               {"command", clean(shell_join(redactor_.arguments(run.spec.argv)))},
               {"place", valid_utf8(run.dir.native())},
               {"time", seconds(time)}};
    if (!run.spec.name.empty()) facts["name"] = clean(run.spec.name);
    if (!run.spec.group.empty()) facts["group"] = clean(run.spec.group);
    if (auto copies = copies_of(run, settings_); !copies.empty()) facts["copies"] = std::move(copies);
    return facts;
}

void Notifier::add_metrics(json& facts) const {
    const json totals = totals_.to_json();
    if (!totals.is_object() || totals.empty()) return;
    json metrics = json::object();
    for (const auto& [name, total] : totals.items()) {
        if (metrics.size() == kMostMetrics) break;
        metrics[name] = {{"value", member(total, "last")}, {"step", member(total, "last_step")}};
    }
    if (totals.size() > metrics.size()) facts["more_metrics"] = totals.size() - metrics.size();
    facts["metrics"] = std::move(metrics);
}

void Notifier::add_lines(json& facts, const Run& run, bool prefer_stderr) const {
    const LastLines last = last_lines(run.attempt_dir(), lines_, prefer_stderr, redactor_);
    if (last.lines.empty()) return;
    facts["lines_of"] = last.of_stderr ? "stderr" : "its output";
    facts["lines"] = json::array();
    for (const auto& line : last.lines) facts["lines"].push_back(line);
}

void Notifier::queue(const Run& run, const std::string& key, json facts) const {
    OutboxEntry entry;
    entry.callback = section_;
    entry.kind = text_of(facts, "kind");
    const std::size_t count = parts(facts);
    for (std::size_t part = 0; part < count; ++part) {
        facts["part"] = part;
        entry.key = fmt::format("{}/{}/{}/{}", run.id, run.attempt, section_, key);
        if (part > 0) entry.key += fmt::format("/{}", part + 1);
        entry.payload = facts.dump(-1, ' ', false, json::error_handler_t::replace);
        run.queue(entry);
    }
}

} // namespace poster
