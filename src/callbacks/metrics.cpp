// What the program logged, in short: the last, least and greatest value of each metric, and its summary.

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <metric_line.hpp>
#include <metric_totals.hpp>
#include <poster/callback.hpp>
#include <records.hpp>
#include <redact.hpp>
#include <redact_values.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr Milliseconds kWriteEvery{1000};

class Metrics : public Callback {
public:
    explicit Metrics(const Settings& settings)
        : redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    Milliseconds interval() const override { return kWriteEvery; }
    bool wants(std::string_view kind) const override { return kind == "metric" || kind == "summary"; }

    void on_step(const Run&, const Step& step) override {
        const double now = double(wall_now().time_since_epoch().count()) / 1000;
        for (const auto& event : step.events) {
            if (event.kind() == "summary") {
                add_summary(event.data());
            } else if (const MetricLine* line = parser_.parse(event.line())) {
                totals_.add(*line, event.writer(), now);
                metrics_changed_ = true;
            }
        }
    }

    void on_tick(const Run& run) override { write(run); }
    void on_end(const Run& run, const Outcome&, Deadline) override { write(run); }

private:
    void add_summary(const json& event) {
        const auto values = event.find("values");
        if (values == event.end() || !values->is_object()) return;
        summary_.update(redacted_values(redactor_, "", *values));
        summary_changed_ = true;
    }

    void write(const Run& run) {
        if (summary_changed_) run.record("summary", summary_);
        summary_changed_ = false;
        if (!metrics_changed_) return;
        write_json(run.attempt_dir() / "metrics.json", totals_.to_json());
        metrics_changed_ = false;
    }

    Redactor redactor_;
    MetricLineParser parser_;
    MetricTotals totals_;
    json summary_ = json::object();
    bool metrics_changed_ = false, summary_changed_ = false;
};

} // namespace

extern const CallbackEntry metrics_callback;
const CallbackEntry metrics_callback =
    callback_entry<Metrics>("metrics", "the last, least and greatest value of each metric; the summary", {},
                            [](const Settings&) { return Activation{true, "always"}; });

} // namespace poster
