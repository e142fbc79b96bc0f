#include "s3_transfer.hpp"

#include <algorithm>

#include <text.hpp>

#include "remote_path.hpp"

namespace poster {

namespace {

constexpr std::size_t kLongestKey = 1024; // of S3, in bytes
constexpr int kMostThreads = 64;
constexpr std::uint64_t kMostParts = 10'000; // of S3
constexpr std::uint64_t kMegabyte = 1 << 20;

Delivery delivery_of(const S3Error& error) {
    if (!error.passing()) return Delivery::permanent(error.what(), error.help());
    Delivery delivery = Delivery::passing(error.what(), error.retry_after);
    delivery.help = error.help();
    return delivery;
}

} // namespace

std::string s3_key(const std::string& prefix, const std::string& path) {
    try {
        remote_path_parts(path);
    } catch (const Error& e) {
        throw S3Error(e.what(), e.help(), S3Error::Kind::permanent);
    }
    const std::string key = prefix.empty() ? path : prefix + "/" + path;
    if (valid_utf8(key) != key)
        throw S3Error("the name " + shell_quote(valid_utf8(path)) + " is not UTF-8, as keys of S3 are",
                      "rename the file, or leave it out by upload.exclude", S3Error::Kind::permanent);
    if (key.size() > kLongestKey)
        throw S3Error("the key of " + shell_quote(path) + " has more than the 1024 bytes that S3 allows",
                      "leave the file out by upload.exclude, or shorten s3.prefix", S3Error::Kind::permanent);
    return key;
}

std::string shown_object(const S3Place& place, const std::string& key) {
    return "s3://" + place.bucket + "/" + key;
}

std::uint64_t s3_part_bytes(std::uint64_t wanted, std::uint64_t file_bytes) {
    const std::uint64_t least = (file_bytes + kMostParts - 1) / kMostParts;
    return std::max(wanted, (least + kMegabyte - 1) / kMegabyte * kMegabyte);
}

S3Transfer::S3Transfer(S3Session& session, std::string prefix, std::span<const RemoteFile> files, Progress& progress)
    : session_(session), prefix_(std::move(prefix)), files_(files), progress_(progress), ended_(files.size()) {}

void S3Transfer::run() {
    for (std::size_t i = 0; i < files_.size(); ++i) {
        crew_.add([this, i](S3Client& client) {
            if (!cancelled()) guarded(i, [&] { begin(client, i); });
        });
    }
    crew_.run(std::clamp(progress_.jobs(), 1, kMostThreads),
              [this] { return S3Client{session_, [this] { return cancelled(); }}; });
}

void S3Transfer::guarded(std::size_t index, const std::function<void()>& work) {
    try {
        work();
    } catch (const S3Error& error) {
        if (cancelled()) return; // it may be why
        if (error.everywhere()) crew_.stop();
        finish(index, delivery_of(error));
    } catch (const std::exception& e) { // of this machine: a file that cannot be read …
        finish(index, Delivery::passing(e.what()));
    }
}

void S3Transfer::finish(std::size_t index, const Delivery& delivery) {
    if (!ended_[index].exchange(true)) progress_.done(index, delivery);
}

std::string S3Transfer::key(std::size_t index) const {
    return s3_key(prefix_, files_[index].path);
}

} // namespace poster
