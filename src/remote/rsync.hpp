#pragma once
// Large files to a host by the user's rsync: of what is at their places already only what differs goes over the line.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace poster {

struct RsyncFile {
    int local = -1;   // open
    std::string path; // "/runs/ID/…", below the root at the host; its folder is there
    std::uint64_t bytes = 0;
};

class Rsync {
public:
    // `ssh`: its command line up to the host. `folder`: an empty one of our own. `check` is called several times a
    // second while it works; it may throw.
    Rsync(std::vector<std::string> ssh, std::string host, std::filesystem::path folder, std::function<void()> check);

    // Brings the files there, as long as they are by now. Returns what it complained of, in a line; empty: nothing. It
    // is for the caller to verify them. Throws Error where it does not work with this host at all.
    std::string bring(std::span<const RsyncFile> files, const std::string& root,
                      const std::function<void(std::size_t file, std::uint64_t bytes)>& moved);

private:
    std::vector<std::string> command(const std::string& root) const;

    std::vector<std::string> ssh_;
    std::string host_;
    std::filesystem::path folder_;
    std::function<void()> check_;
};

} // namespace poster
