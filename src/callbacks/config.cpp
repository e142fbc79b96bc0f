// The experiment's parameters, as far as its command line tells them.

#include <nlohmann/json.hpp>

#include <poster/callback.hpp>
#include <redact.hpp>

#include "argv_config.hpp"

namespace poster {

namespace {

class Config : public Callback {
public:
    explicit Config(const Settings& settings)
        : redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    void on_start(const Run& run) override {
        run.record("config", config_from_argv(redactor_.arguments(run.spec.argv)));
    }

private:
    Redactor redactor_;
};

} // namespace

extern const CallbackEntry config_callback;
const CallbackEntry config_callback =
    callback_entry<Config>("config", "the parameters on the command line, as typed values", {},
                           [](const Settings&) { return Activation{true, "always"}; });

} // namespace poster
