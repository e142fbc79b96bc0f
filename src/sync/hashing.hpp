#pragma once
// Hashes of many files, worked out in the background.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <poster/remote.hpp>

namespace poster {

// Of so many bytes from the beginning of each file.
struct ToHash {
    std::filesystem::path path;
    std::uint64_t bytes = 0;
};

class Hashing {
public:
    // In the order of the files, several at a time. `cancelled` is asked often, from any thread; once it says true, the
    // hashes that are left come empty.
    Hashing(std::vector<ToHash> files, std::function<bool()> cancelled);
    Hashing(const Hashing&) = delete;
    Hashing& operator=(const Hashing&) = delete;
    ~Hashing(); // leaves off

    ContentHash of(std::size_t file) const { return ContentHash(hashes_[file]); }

private:
    void work();
    std::string hash_of_beginning(const ToHash& file) const; // empty: it is shorter, or cannot be read

    std::vector<ToHash> files_;
    std::function<bool()> cancelled_;
    std::vector<std::promise<std::string>> promises_;
    std::vector<std::shared_future<std::string>> hashes_;
    std::atomic<std::size_t> next_{0};
    std::atomic<bool> left_off_{false};
    std::vector<std::jthread> threads_;
};

} // namespace poster
