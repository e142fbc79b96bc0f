#include "part_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

#include <fmt/format.h>

#include <error.hpp>
#include <process.hpp>

#include "remote_path.hpp"

namespace poster {

namespace {

constexpr mode_t kFileMode = 0600;

// No other thread, process or host has it.
std::string unique_part_name() {
    static std::atomic<unsigned> counter{0};
    return part_name(fmt::format("{} {} {} {}", host_name(), ::getpid(), counter++,
                                 std::chrono::steady_clock::now().time_since_epoch().count()));
}

} // namespace

PartFile::PartFile(int folder, std::filesystem::path place)
    : folder_(folder), place_(std::move(place)), name_(unique_part_name()),
      fd_(::openat(folder, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, kFileMode)) {
    if (fd_) return;
    fd_ = Fd{
        check_syscall("write " + place_.native(),
                      ::openat(folder, name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode))};
    named_ = true;
}

PartFile::~PartFile() {
    if (named_ && !placed_) ::unlinkat(folder_, name_.c_str(), 0);
}

void PartFile::flush() const {
    check_syscall("write " + place_.native(), ::fsync(fd_.get()));
    ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
}

void PartFile::put_in_place() {
    if (!named_) { // a link cannot replace what stands there, a rename can
        const std::string nameless = fmt::format("/proc/self/fd/{}", fd_.get());
        check_syscall("write " + place_.native(),
                      ::linkat(AT_FDCWD, nameless.c_str(), folder_, name_.c_str(), AT_SYMLINK_FOLLOW));
        named_ = true;
    }
    check_syscall("write " + place_.native(), ::renameat(folder_, name_.c_str(), folder_, place_.filename().c_str()));
    placed_ = true;
    ::fsync(folder_); // some network file systems refuse it: then the rename is as safe as they make it
}

} // namespace poster
