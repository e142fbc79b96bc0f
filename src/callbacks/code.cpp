// The state of the code: commit, branch, remotes, the diff against the commit and the untracked files — enough to build
// the working tree again. Content that several runs share is stored once.

#include <nlohmann/json.hpp>

#include <files.hpp>
#include <objects.hpp>
#include <poster/callback.hpp>
#include <redact.hpp>

#include "code_state.hpp"

namespace poster {

namespace {

using nlohmann::json;

class Code : public Callback {
public:
    explicit Code(const Settings& settings)
        : limit_(static_cast<std::uint64_t>(settings.integer("capture.untracked_limit"))),
          redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    // A later attempt may be of other code: what the first one ran stays as it is.
    void on_start(const Run& run) override {
        fs::path dir = run.attempt == 1 ? run.dir / "code" : run.attempt_dir() / "code";
        auto keep = [&](const fs::path& name, std::string_view content) {
            make_directories((dir / name).parent_path());
            store_object(run.store, content, dir / name);
        };
        json code = capture_code({run.spec.cwd, run.store, limit_, redactor_, keep});
        if (code.is_null()) return;
        if (run.attempt == 1)
            run.record("code", code);
        else
            run.record("code_attempts", {{std::to_string(run.attempt), code}});
    }

private:
    std::uint64_t limit_;
    Redactor redactor_;
};

} // namespace

extern const CallbackEntry code_callback;
const CallbackEntry code_callback =
    callback_entry<Code>("code", "the git state: commit, diff, untracked files", {}, [](const Settings&) {
        return Activation{true, "always; captures where the working directory is in a git repository"};
    });

} // namespace poster
