#pragma once
// Copies of run directories in a bucket of S3, or of what speaks like it.

#include <memory>
#include <string>

#include <poster/remote.hpp>

#include "s3_client.hpp"

namespace poster {

class S3Remote : public Remote {
public:
    // prefix: before all keys, without slashes around; may be empty. part_bytes: of large files, sent in parts.
    S3Remote(S3Place place, std::string prefix, std::uint64_t part_bytes);

    std::string destination() const override;
    void put(std::span<const RemoteFile> files, Progress& progress) override;
    void get(std::span<const RemoteFile> files, Progress& progress) override;
    void verify(std::span<const RemoteFile> files, Progress& progress) override;
    std::vector<std::string> list(const std::string& folder) override;
    // Uploads in parts that were begun and not ended.
    std::size_t remove_leftovers(Milliseconds older, bool dry_run) override;

private:
    std::string prefix_;
    std::uint64_t part_bytes_;
    S3Session session_;
};

} // namespace poster
