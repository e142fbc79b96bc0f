// Copies of run directories at a host that the user reaches by ssh.

#include <error.hpp>
#include <path_setting.hpp>
#include <poster/callback.hpp>
#include <ssh_remote.hpp>

namespace poster {

namespace {

SshRemote::Method method_of(const std::string& name) {
    if (name == "auto" || name == "sftp") return SshRemote::Method::sftp;
    if (name == "rsync") return SshRemote::Method::rsync;
    throw UsageError("scp.method is '" + name + "'", "it is auto, sftp or rsync");
}

class Scp : public Callback {
public:
    explicit Scp(const Settings& settings)
        : to_(settings.text("scp.to")), config_(path_setting(settings, "scp.ssh_config")),
          method_(method_of(settings.text("scp.method"))) {}

    std::unique_ptr<Remote> remote() override {
        return std::make_unique<SshRemote>(parse_ssh_destination(to_), config_, method_);
    }

private:
    std::string to_;
    std::filesystem::path config_;
    SshRemote::Method method_;
};

} // namespace

extern const CallbackEntry scp_callback;
const CallbackEntry scp_callback = callback_entry<Scp>(
    "scp", "copies of runs at a host that you reach by ssh",
    {{"scp.to", OptionType::text, "", "user@host:/path, an alias of ~/.ssh/config, or ssh://user@host:22/path"},
     {"scp.ssh_config", OptionType::text, "", "file for ssh instead of ~/.ssh/config"},
     {"scp.method", OptionType::text, "auto", "auto, sftp or rsync: how large files are sent"}},
    [](const Settings& settings) -> Activation {
        method_of(settings.text("scp.method"));
        if (settings.text("scp.to").empty()) return {false, "scp.to is not set"};
        parse_ssh_destination(settings.text("scp.to"));
        return {true, "scp.to"};
    });

} // namespace poster
