#pragma once
// Copies at a host that the user reaches by ssh.

#include <filesystem>
#include <memory>

#include <poster/remote.hpp>

#include "sftp_put.hpp"
#include "ssh_client.hpp"

namespace poster {

class SshRemote : public Remote {
public:
    // How large files are sent. rsync sends of one that replaces another only what differs; it must be at both ends.
    enum class Method { sftp, rsync };

    // `config`: for ssh, instead of ~/.ssh/config; empty: that one. Nothing is contacted before it is used.
    SshRemote(SshDestination to, const std::filesystem::path& config, Method method);
    ~SshRemote() override;

    std::string destination() const override;
    void put(std::span<const RemoteFile> files, Progress& progress) override;
    void get(std::span<const RemoteFile> files, Progress& progress) override;
    void verify(std::span<const RemoteFile> files, Progress& progress) override;
    std::vector<std::string> list(const std::string& folder) override;
    std::size_t remove_leftovers(Milliseconds older, bool dry_run) override;

private:
    struct Connection;
    Connection& connect();
    void open_shell(Connection& connection);
    std::vector<std::string> hashes_of(Connection& connection, std::span<const RemoteFile> files);
    Delivery why_lost(const sftp::Lost& lost);
    template <typename Act>
    void transfer(std::span<const RemoteFile> files, Progress& progress, const Act& act);
    template <typename Act>
    auto asking(const Act& act);
    std::vector<sftp::Named> entries(Connection& connection, const std::string& folder);
    std::size_t remove_leftovers_in(Connection& connection, const std::string& folder, WallTime before, bool dry_run);

    SshDestination to_;
    SshClient client_;
    Method method_;
    Progress* progress_ = nullptr; // of the call that is under way
    std::unique_ptr<Connection> connection_;
};

} // namespace poster
