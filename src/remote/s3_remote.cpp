#include "s3_remote.hpp"

#include <clock.hpp>
#include <run_id.hpp>

#include "remote_path.hpp"
#include "s3_transfer.hpp"

namespace poster {

namespace {

bool is_of_a_run(const std::string& key, const std::string& folder) {
    if (!key.starts_with(folder)) return false;
    const std::size_t slash = key.find('/', folder.size());
    return slash != std::string::npos && is_run_id(key.substr(folder.size(), slash - folder.size()));
}

} // namespace

S3Remote::S3Remote(S3Place place, std::string prefix, std::uint64_t part_bytes)
    : prefix_(std::move(prefix)), part_bytes_(part_bytes), session_(std::move(place)) {}

std::string S3Remote::destination() const {
    const S3Place& place = session_.place();
    std::string text = "s3://" + place.bucket + (prefix_.empty() ? "" : "/" + prefix_);
    if (!place.endpoint.empty()) text += " at " + place.endpoint;
    return text;
}

void S3Remote::put(std::span<const RemoteFile> files, Progress& progress) {
    s3_upload(session_, prefix_, part_bytes_, files, progress);
}

void S3Remote::get(std::span<const RemoteFile> files, Progress& progress) {
    s3_download(session_, prefix_, part_bytes_, files, progress);
}

void S3Remote::verify(std::span<const RemoteFile> files, Progress& progress) {
    s3_verify(session_, prefix_, part_bytes_, files, progress);
}

std::vector<std::string> S3Remote::list(const std::string& folder) {
    S3Client client{session_, [] { return false; }};
    const std::string place = prefix_.empty() || folder.empty() ? prefix_ + folder : prefix_ + "/" + folder;
    return client.names(place.empty() ? "" : place + "/");
}

std::size_t S3Remote::remove_leftovers(Milliseconds older, bool dry_run) {
    S3Client client{session_, [] { return false; }};
    std::size_t count = 0;
    const std::string folder = prefix_.empty() ? "runs/" : prefix_ + "/runs/";
    for (const S3Upload& upload : client.uploads(folder)) {
        if (!is_of_a_run(upload.key, folder)) continue; // others may keep things in the bucket
        const WallTime now = wall_now() + Milliseconds{session_.clock_ahead.load()};
        if (now - upload.begun < older) continue;
        if (!dry_run) client.abort(upload);
        ++count;
    }
    return count;
}

} // namespace poster
