#pragma once
// Many files to S3 or from it, several at a time, large ones in parts.

#include <functional>
#include <span>
#include <string>

#include <poster/remote.hpp>

#include "crew.hpp"
#include "s3_client.hpp"

namespace poster {

// What all of them have in common: threads with a connection each, and what is told of a file's end.
class S3Transfer {
public:
    S3Transfer(S3Session& session, std::string prefix, std::span<const RemoteFile> files, Progress& progress);
    S3Transfer(const S3Transfer&) = delete;
    S3Transfer& operator=(const S3Transfer&) = delete;
    virtual ~S3Transfer() = default;

    void run(); // throws nothing

protected:
    // What is to be done about a file; parts of it can be added to the crew, and end by finish().
    virtual void begin(S3Client& client, std::size_t index) = 0;

    // Calls `work` and tells what it threw as the file's end.
    void guarded(std::size_t index, const std::function<void()>& work);
    void finish(std::size_t index, const Delivery& delivery); // the first end counts
    bool finished(std::size_t index) const { return ended_[index]; }
    std::string key(std::size_t index) const; // throws S3Error for a path that cannot be one

    const RemoteFile& file(std::size_t index) const { return files_[index]; }
    Progress& progress() { return progress_; }
    bool cancelled() const { return crew_.stopped() || progress_.cancelled(); }
    Crew<S3Client>& crew() { return crew_; }

private:
    S3Session& session_;
    std::string prefix_;
    std::span<const RemoteFile> files_;
    Progress& progress_;
    Crew<S3Client> crew_;
    std::vector<std::atomic<bool>> ended_;
};

// The key of a path. Throws S3Error.
std::string s3_key(const std::string& prefix, const std::string& path);
// There are at most 10,000 parts.
std::uint64_t s3_part_bytes(std::uint64_t wanted, std::uint64_t file_bytes);
std::string shown_object(const S3Place& place, const std::string& key); // "s3://bucket/key"

void s3_upload(S3Session& session, const std::string& prefix, std::uint64_t part_bytes,
               std::span<const RemoteFile> files, Progress& progress);
void s3_download(S3Session& session, const std::string& prefix, std::uint64_t part_bytes,
                 std::span<const RemoteFile> files, Progress& progress);
void s3_verify(S3Session& session, const std::string& prefix, std::uint64_t part_bytes,
               std::span<const RemoteFile> files, Progress& progress);

} // namespace poster
