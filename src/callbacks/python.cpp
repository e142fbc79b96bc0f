// For Python commands: which interpreter, and which packages it has.

#include <nlohmann/json.hpp>

#include <files.hpp>
#include <objects.hpp>
#include <poster/callback.hpp>

#include "python_state.hpp"

namespace poster {

namespace {

class Python : public Callback {
public:
    void on_start(const Run& run) override {
        auto python = capture_python(run.spec);
        if (!python) return;
        if (python->facts.contains("packages")) {
            make_directories(run.dir / "code");
            store_object(run.store, python->packages, run.dir / "code" / "packages.txt");
        }
        run.record("python", python->facts);
    }
};

} // namespace

extern const CallbackEntry python_callback;
const CallbackEntry python_callback = callback_entry<Python>(
    "python", "for Python commands: the interpreter, its version, the installed packages", {},
    [](const Settings&) { return Activation{true, "always; captures where the command is a Python program"}; });

} // namespace poster
