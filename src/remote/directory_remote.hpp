#pragma once
// Copies in a folder that this machine sees: a mounted NAS, a second disk.

#include <filesystem>

#include <poster/remote.hpp>

namespace poster {

class DirectoryRemote : public Remote {
public:
    // The folder has to exist: what is not mounted must not be filled up below its mount point.
    explicit DirectoryRemote(std::filesystem::path root);

    std::string destination() const override;
    void put(std::span<const RemoteFile> files, Progress& progress) override;
    void get(std::span<const RemoteFile> files, Progress& progress) override;
    void verify(std::span<const RemoteFile> files, Progress& progress) override;
    std::vector<std::string> list(const std::string& folder) override;
    std::size_t remove_leftovers(Milliseconds older, bool dry_run) override;

private:
    std::filesystem::path root_;
};

} // namespace poster
