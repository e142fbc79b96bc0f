#pragma once
// A file system that behaves as some do: for as long as these are set, all of this program asks them.

#include <functional>

namespace poster {

struct OddFileSystem {
    OddFileSystem() = default;
    OddFileSystem(const OddFileSystem&) = delete;
    OddFileSystem& operator=(const OddFileSystem&) = delete;
    ~OddFileSystem();

    // Both give what errno is to be, 0: all went well. The true calls are real_link() and real_close().
    static void on_link(std::function<int(const char* from, const char* to)> link);
    static void on_close(std::function<int(int fd)> close);
};

int real_link(const char* from, const char* to);
int real_close(int fd);

} // namespace poster
