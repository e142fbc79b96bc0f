// A callback for the tests: tells each of its hooks to $POSTER_PROBE_FILE and misbehaves where it is told to.

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include <fmt/format.h>

#include <fd.hpp>
#include <files.hpp>
#include <poster/callback.hpp>

namespace poster {

namespace {

class Probe : public Callback {
public:
    explicit Probe(const Settings& settings)
        : on_prepare_(settings.text("probe.on_prepare")), on_start_(settings.text("probe.on_start")),
          on_end_(settings.text("probe.on_end")) {}

    void on_prepare(RunSpec& spec) override {
        tell("prepare", "");
        if (on_prepare_ == "rewrite") spec.argv = {"echo", "rewritten"};
        misbehave(on_prepare_);
    }
    void on_start(const Run& run) override {
        tell("start", run.id);
        misbehave(on_start_);
    }
    void on_event(const Run&, const Event& event) override { tell("event", std::string(event.kind())); }
    void on_end(const Run& run, const Outcome& outcome, Deadline) override {
        tell("end", run.id, std::string(to_string(outcome.status)));
        misbehave(on_end_);
    }

private:
    static void tell(const std::string& hook, const std::string& run, const std::string& status = {}) {
        const char* path = std::getenv("POSTER_PROBE_FILE");
        if (path == nullptr) return;
        Fd file = open_append(path);
        write_all(file.get(), fmt::format("{{\"hook\":\"{}\",\"run\":\"{}\",\"status\":\"{}\",\"pid\":{}}}\n", hook,
                                          run, status, ::getpid()));
    }
    static void misbehave(const std::string& how) {
        if (how == "throw") throw std::runtime_error("told to throw");
        if (how == "segv") { // a real fault: a raised signal would stay blocked
            std::signal(SIGSEGV, SIG_DFL);
            volatile int* nowhere = nullptr;
            *nowhere = 1;
        }
        if (how == "hang") ::pause();
        if (how == "sleep") ::sleep(2);
    }

    std::string on_prepare_, on_start_, on_end_;
};

} // namespace

extern const CallbackEntry probe_callback;
const CallbackEntry probe_callback =
    callback_entry<Probe>("probe", "tells each hook to $POSTER_PROBE_FILE",
                          {{"probe.on_prepare", OptionType::text, "", "throw, hang, segv, sleep or rewrite"},
                           {"probe.on_start", OptionType::text, "", "throw, hang, segv or sleep"},
                           {"probe.on_end", OptionType::text, "", "throw, hang, segv or sleep"}},
                          [](const Settings&) { return Activation{true, "always"}; });

} // namespace poster
