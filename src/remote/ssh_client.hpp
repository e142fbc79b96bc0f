#pragma once
// The user's own OpenSSH client. His configuration, agent, jump hosts and known hosts hold; it never asks anything.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <child_process.hpp>
#include <poster/remote.hpp>

#include "ssh_destination.hpp"

namespace poster {

class SshClient {
public:
    // `config`: instead of ~/.ssh/config; empty: that one.
    SshClient(SshDestination to, std::filesystem::path config);
    SshClient(const SshClient&) = delete;
    SshClient& operator=(const SshClient&) = delete;
    ~SshClient();

    // The connection that the other ones go through while it lasts, with SFTP spoken over it. Throws Error.
    std::unique_ptr<ChildProcess> start_sftp();
    // `sh` there, reading commands.
    std::unique_ptr<ChildProcess> start_shell();
    // ssh's command line up to the host, through the connection that is there, for a program that wants one (rsync).
    std::vector<std::string> command();
    // One of our own, for as long as this object lives. Throws Error.
    std::filesystem::path folder();

private:
    std::vector<std::string> command_alone();
    void learn();
    void make_control_dir();
    std::vector<std::string> with_control(const char* master) const;

    SshDestination to_;
    std::filesystem::path config_;
    std::vector<std::string> options_;
    bool learnt_ = false;
    bool shares_ = true;           // one connection by a socket of ours; false: as the user has configured it
    std::filesystem::path folder_; // for the socket as well
    int connections_ = 0;
};

// What the end of an ssh that lost its connection, or never had one, means.
Delivery explain_ssh(int exit_code, const std::string& errors, const std::string& host);

} // namespace poster
