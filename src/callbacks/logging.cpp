// poster's own log of an attempt: attempts/N/poster.log. The one file that includes spdlog.

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <poster/callback.hpp>

#include <redact.hpp>
#include <text.hpp>

namespace poster {

namespace {

class Logging : public Callback {
public:
    explicit Logging(const Settings& settings)
        : level_(settings.text("logging.level")),
          redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    void on_start(const Run& run) override {
        open(run);
        log_->info("poster {} run {} attempt {}", POSTER_VERSION, run.id, run.attempt);
        log_->info("command {}", shell_join(redactor_.arguments(run.spec.argv)));
        log_->debug("working directory {}", run.spec.cwd.string());
        log_->info("child {} started", run.child);
    }

    void on_end(const Run& run, const Outcome& outcome, Deadline) override {
        open(run);
        auto level = outcome.status == Status::finished ? spdlog::level::info : spdlog::level::warn;
        log_->log(level, "{}: {}", to_string(outcome.status), outcome.reason);
        if (!outcome.error.empty()) log_->warn("last error: {}", redactor_.text(outcome.error));
        if (outcome.log_truncated) log_->warn("output.log is incomplete");
        if (outcome.left_behind > 0) log_->info("{} background processes were left running", outcome.left_behind);
        log_->flush();
    }

private:
    void open(const Run& run) {
        if (log_) return;
        auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>((run.attempt_dir() / "poster.log").string());
        log_ = std::make_unique<spdlog::logger>("poster", std::move(sink));
        log_->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
        log_->set_level(spdlog::level::from_str(level_));
        log_->flush_on(spdlog::level::info);
    }

    std::string level_;
    Redactor redactor_;
    std::unique_ptr<spdlog::logger> log_;
};

Activation activate(const Settings& settings) {
    std::string level = settings.text("logging.level");
    if (spdlog::level::from_str(level) == spdlog::level::off && level != "off")
        return {false, "logging.level is '" + level + "'; it is one of trace, debug, info, warn, error"};
    return {level != "off", "logging.level is " + level};
}

} // namespace

extern const CallbackEntry logging_callback;
const CallbackEntry logging_callback = callback_entry<Logging>(
    "logging", "poster's own log of each attempt: poster.log",
    {{"logging.level", OptionType::text, "info", "trace, debug, info, warn, error or off"}}, activate);

} // namespace poster
