// Copies of run directories in a folder of this machine: a mounted NAS, a second disk.

#include <directory_remote.hpp>
#include <path_setting.hpp>
#include <poster/callback.hpp>

namespace poster {

namespace {

class Local : public Callback {
public:
    explicit Local(const Settings& settings) : path_(path_setting(settings, "local.path")) {}

    std::unique_ptr<Remote> remote() override { return std::make_unique<DirectoryRemote>(path_); }

private:
    std::filesystem::path path_;
};

} // namespace

extern const CallbackEntry local_callback;
const CallbackEntry local_callback =
    callback_entry<Local>("local", "copies of runs in a folder: a mounted NAS, a second disk",
                          {{"local.path", OptionType::text, "", "folder that keeps the copies; it has to exist"}},
                          [](const Settings& settings) -> Activation {
                              if (settings.text("local.path").empty()) return {false, "local.path is not set"};
                              return {true, "local.path"};
                          });

} // namespace poster
