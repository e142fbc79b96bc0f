// Copies of run directories at a host that the user reaches by ssh.

#include <path_setting.hpp>
#include <poster/callback.hpp>
#include <ssh_remote.hpp>

namespace poster {

namespace {

class Scp : public Callback {
public:
    explicit Scp(const Settings& settings)
        : to_(settings.text("scp.to")), config_(path_setting(settings, "scp.ssh_config")) {}

    std::unique_ptr<Remote> remote() override {
        return std::make_unique<SshRemote>(parse_ssh_destination(to_), config_);
    }

private:
    std::string to_;
    std::filesystem::path config_;
};

} // namespace

extern const CallbackEntry scp_callback;
const CallbackEntry scp_callback = callback_entry<Scp>(
    "scp", "copies of runs at a host that you reach by ssh",
    {{"scp.to", OptionType::text, "", "user@host:/path, an alias of ~/.ssh/config, or ssh://user@host:22/path"},
     {"scp.ssh_config", OptionType::text, "", "file for ssh instead of ~/.ssh/config"}},
    [](const Settings& settings) -> Activation {
        if (settings.text("scp.to").empty()) return {false, "scp.to is not set"};
        return {true, "scp.to"};
    });

} // namespace poster
