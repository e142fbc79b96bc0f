#include "hashing.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include <fd.hpp>
#include <sha256.hpp>

namespace poster {

namespace {

constexpr unsigned kMostThreads = 4;
constexpr std::size_t kBlock = 256 << 10;

} // namespace

Hashing::Hashing(std::vector<ToHash> files, std::function<bool()> cancelled)
    : files_(std::move(files)), cancelled_(std::move(cancelled)), promises_(files_.size()) {
    for (auto& promise : promises_) hashes_.push_back(promise.get_future().share());
    const auto wanted =
        std::min<std::size_t>({files_.size(), kMostThreads, std::max(1U, std::thread::hardware_concurrency())});
    for (std::size_t i = 0; i < wanted; ++i) threads_.emplace_back([this] { work(); });
}

Hashing::~Hashing() {
    left_off_ = true;
}

void Hashing::work() {
    for (std::size_t i = next_++; i < files_.size(); i = next_++) promises_[i].set_value(hash_of_beginning(files_[i]));
}

std::string Hashing::hash_of_beginning(const ToHash& file) const {
    if (left_off_ || cancelled_()) return {};
    const Fd fd{::open(file.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd) return {};
    Sha256 hash;
    const auto buffer = std::make_unique<char[]>(std::min<std::uint64_t>(kBlock, file.bytes + 1));
    for (std::uint64_t done = 0; done < file.bytes;) {
        const ssize_t got = ::read(fd.get(), buffer.get(), std::min<std::uint64_t>(kBlock, file.bytes - done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || left_off_ || cancelled_()) return {};
        hash.update({buffer.get(), std::size_t(got)});
        done += std::uint64_t(got);
    }
    return hash.hex();
}

} // namespace poster
