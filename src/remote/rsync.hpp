#pragma once
// Large files to a host by the user's rsync: of what is at their places already only what differs goes over the line.

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "ssh_client.hpp"

namespace poster {

struct RsyncFile {
    int local = -1;   // open
    std::string name; // of what it is to become at the host
    std::uint64_t bytes = 0;
};

class Rsync {
public:
    // `check` is called several times a second while it works; it may throw.
    Rsync(SshClient& client, std::string host, std::function<void()> check);

    // Brings the files into a folder at the host, as long as they are by now. What stands there already is written to:
    // nobody else may. Returns what it complained of, in a line; empty: nothing. It is for the caller to verify them.
    // Throws Error where it does not work with this host at all.
    std::string bring(std::span<const RsyncFile> files, const std::string& folder,
                      const std::function<void(std::size_t file, std::uint64_t bytes)>& moved);

private:
    SshClient& client_;
    std::string host_;
    std::function<void()> check_;
};

} // namespace poster
