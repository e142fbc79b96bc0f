#include "hashing.hpp"

#include <algorithm>

#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>

namespace poster {

namespace {

constexpr unsigned kMostThreads = 4;

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
    const auto cancelled = [this] { return left_off_ || cancelled_(); };
    if (cancelled()) return {};
    const Fd fd = open_regular(file.path);
    return fd ? sha256_of_slice(fd.get(), 0, file.bytes, cancelled).value_or("") : "";
}

} // namespace poster
