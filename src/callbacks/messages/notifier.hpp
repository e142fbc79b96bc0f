#pragma once
// What messengers have in common: when there is something to tell (docs/callbacks/telegram.md), and the entries in the
// outbox that say it. A messenger overrides deliver().

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <metric_line.hpp>
#include <metric_totals.hpp>
#include <poster/callback.hpp>
#include <poster/group_outcome.hpp>
#include <redact.hpp>
#include <where.hpp>

#include "limiter.hpp"

namespace poster {

// The settings of a messenger's section, beside its own.
std::vector<Option> notifier_options(const std::string& section);
// Throws UsageError for a value that cannot be meant.
void check_notifier_settings(const std::string& section, const Settings& settings);
// The facts of a message that asks for no more than to be seen.
nlohmann::json test_facts();

class Notifier : public Callback {
public:
    void on_start(const Run& run) override;
    bool wants(std::string_view kind) const override;
    void on_event(const Run& run, const Event& event) override;
    Milliseconds interval() const override;
    void on_tick(const Run& run) override;
    void on_end(const Run& run, const Outcome& outcome, Deadline deadline) override;
    void on_group_end(const Run& run, const GroupOutcome& outcome) override;

protected:
    Notifier(std::string section, const Settings& settings);
    // How many deliveries these facts take; of each the entry's payload says which it is ("part", from 0 on).
    virtual std::size_t parts(const nlohmann::json& /*facts*/) const { return 1; }
    // The image that facts speak of; one that is gone, or that a link takes out of the run directory, has a path where
    // nothing is.
    static std::filesystem::path image_of(const Run& run, const nlohmann::json& facts);

private:
    using Clock = std::chrono::steady_clock;

    // One of the setting `when`.
    struct Condition {
        std::string text;
        Where where;
        bool holds = false;
        Limiter limiter{};
    };
    struct Last {
        double value = 0;
        std::int64_t rank = 0;
    };

    bool tells(const std::string& what) const { return on_.contains(what); }
    bool tells_of_single_runs(const Run& run) const;
    nlohmann::json facts_of(const Run& run, const std::string& kind, WallTime time) const;
    void add_metrics(nlohmann::json& facts) const;
    void add_lines(nlohmann::json& facts, const Run& run, bool prefer_stderr) const;
    void queue(const Run& run, const std::string& key, nlohmann::json facts) const;
    std::string clean(const std::string& text) const;

    void on_metric(const Run& run, const Event& event);
    void on_message(const Run& run, const Event& event);
    void on_image(const Run& run, const Event& event);
    bool holds(const Condition& condition) const;

    std::string section_;
    const Settings settings_;
    Redactor redactor_;
    std::set<std::string> on_;
    std::string multirun_;
    std::size_t lines_;
    Milliseconds stalled_after_;
    std::optional<int> level_; // least of those told; none: no message is
    std::vector<Condition> conditions_;

    MetricLineParser parser_;
    MetricTotals totals_;
    std::map<std::string, Last, std::less<>> last_; // of each metric, epoch and step, where there are conditions
    Limiter messages_;
    std::uint64_t bytes_ = 0; // of output and events, when they grew last
    Clock::time_point grew_at_ = Clock::now();
    bool told_of_silence_ = false;
};

} // namespace poster
