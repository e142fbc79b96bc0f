#include "files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "error.hpp"

namespace poster {

namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

enum class Sharing { local, shared };

struct FileSystem {
    std::uint64_t magic;
    const char* name;
    Sharing sharing;
};

// linux/magic.h, and for the out-of-tree ones the value their own headers give.
constexpr FileSystem kFileSystems[] = {
    {0xEF53, "ext4", Sharing::local},         {0x58465342, "xfs", Sharing::local},
    {0x9123683E, "btrfs", Sharing::local},    {0x01021994, "tmpfs", Sharing::local},
    {0x858458F6, "ramfs", Sharing::local},    {0x794C7630, "overlay", Sharing::local},
    {0x2FC12FC1, "zfs", Sharing::local},      {0xF2F52010, "f2fs", Sharing::local},
    {0xCA451A4E, "bcachefs", Sharing::local}, {0x9FA0, "proc", Sharing::local},
    {0x62656572, "sysfs", Sharing::local},    {0x4D44, "vfat", Sharing::local},
    {0x2011BAB0, "exfat", Sharing::local},    {0x6969, "nfs", Sharing::shared},
    {0x0BD00BD0, "lustre", Sharing::shared},  {0x47504653, "gpfs", Sharing::shared},
    {0x19830326, "beegfs", Sharing::shared},  {0x517B, "smb", Sharing::shared},
    {0xFF534D42, "cifs", Sharing::shared},    {0xFE534D42, "smb2", Sharing::shared},
    {0x65735546, "fuse", Sharing::shared},    {0x00C36400, "ceph", Sharing::shared},
    {0x5346414F, "afs", Sharing::shared},     {0x6B414653, "afs", Sharing::shared},
    {0x73757245, "coda", Sharing::shared},    {0x7461636F, "ocfs2", Sharing::shared},
    {0x01161970, "gfs2", Sharing::shared},    {0x01021997, "9p", Sharing::shared},
    {0xAAD7AAEA, "panfs", Sharing::shared},   {0x20030528, "orangefs", Sharing::shared},
    {0x786F4256, "vboxsf", Sharing::shared},  {0xBACBACBC, "vmhgfs", Sharing::shared},
    {0x7C7C6673, "prl_fs", Sharing::shared},  {0x564C, "ncp", Sharing::shared},
};

// statfs of the path or, before it exists, of what it will be made in.
std::optional<struct statfs> nearest_statfs(fs::path path) {
    struct statfs facts{};
    for (;;) {
        if (::statfs(path.empty() ? "." : path.c_str(), &facts) == 0) return facts;
        if ((errno != ENOENT && errno != ENOTDIR) || path.empty() || path == path.root_path()) return {};
        if (!path.has_filename()) path = path.parent_path(); // "a/b/": its parent is "a/b"
        path = path.parent_path();
    }
}

std::uint64_t magic_of(const struct statfs& facts) {
    return std::uint64_t(facts.f_type) & 0xFFFFFFFFU; // f_type is signed and sign-extends on some systems
}

const FileSystem* known(std::uint64_t magic) {
    for (const auto& entry : kFileSystems) {
        if (entry.magic == magic) return &entry;
    }
    return nullptr;
}

std::optional<std::string> read_from(int fd, std::size_t expected) {
    std::string content;
    content.resize(expected + 1); // one more, so that a file of the expected size ends in this round
    std::size_t filled = 0;
    for (;;) {
        const ssize_t got = ::read(fd, content.data() + filled, content.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {};
        if (got == 0) break;
        filled += std::size_t(got);
        if (filled == content.size()) content.resize(filled * 2 + 4096);
    }
    content.resize(filled);
    return content;
}

// Created anew beside `path`: another process, or one of this pid on another host, may be writing its own.
std::pair<Fd, std::string> temporary_beside(const fs::path& path) {
    static std::atomic<unsigned> counter{0};
    constexpr int kTries = 100;
    for (int i = 0; i < kTries; ++i) {
        std::string name = (path.parent_path() /
                            fmt::format(".{}.{}.{}.tmp", path.filename().native(), ::getpid(), counter.fetch_add(1)))
                               .native();
        const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode);
        if (fd >= 0) return {Fd{fd}, std::move(name)};
        if (errno != EEXIST) throw_errno("write " + path.native(), errno);
    }
    throw_errno("write " + path.native(), EEXIST);
}

void sync_directory_of(const fs::path& path) {
    const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path{"."};
    const Fd fd{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (fd) ::fsync(fd.get()); // some network file systems refuse it: then the rename is as safe as they make it
}

} // namespace

std::optional<std::string> read_file(const fs::path& path) {
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) return {};
    struct stat facts{};
    if (::fstat(fd.get(), &facts) != 0) return {};
    return read_from(fd.get(), facts.st_size > 0 ? std::size_t(facts.st_size) : 4095); // /proc says 0
}

std::optional<std::string> read_tail(const fs::path& path, std::size_t bytes) {
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) return {};
    struct stat facts{};
    if (::fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return {};
    const auto size = std::size_t(facts.st_size);
    std::string tail(std::min(bytes, size), '\0');
    std::size_t filled = 0;
    while (filled < tail.size()) {
        const ssize_t got =
            ::pread(fd.get(), tail.data() + filled, tail.size() - filled, off_t(size - tail.size() + filled));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {};
        if (got == 0) break;
        filled += std::size_t(got);
    }
    tail.resize(filled);
    return tail;
}

void replace_file(const fs::path& path, std::string_view content, Durability durability) {
    auto [fd, temporary] = temporary_beside(path);
    const bool to_disk = durability == Durability::disk;
    if (!write_all(fd.get(), content) || (to_disk && ::fdatasync(fd.get()) != 0) || ::close(fd.release()) != 0 ||
        ::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        throw_errno("write " + path.native(), error);
    }
    if (to_disk) sync_directory_of(path);
}

bool create_alone(const fs::path& path, std::string_view content) {
    auto [fd, draft] = temporary_beside(path);
    const bool written = write_all(fd.get(), content) && ::close(fd.release()) == 0;
    const bool linked = written && ::link(draft.c_str(), path.c_str()) == 0;
    const int error = errno;
    struct stat facts{};
    // A network file system may say that it failed when only its answer was lost.
    const bool ours = linked || (written && ::stat(draft.c_str(), &facts) == 0 && facts.st_nlink == 2);
    ::unlink(draft.c_str());
    if (!written) throw_errno("write " + path.native(), error);
    if (ours || error == EEXIST) return ours;
    fd =
        Fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode)}; // no hard links here
    if (!fd && errno == EEXIST) return false;
    if (fd && write_all(fd.get(), content) && ::close(fd.release()) == 0) return true;
    const int failure = errno;
    if (fd) ::unlink(path.c_str());
    throw_errno("make " + path.native(), failure);
}

void append_line(const fs::path& path, std::string_view line, Durability durability) {
    Fd fd{check_syscall("append to " + path.native(),
                        ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode))};
    std::string bytes;
    bytes.reserve(line.size() + 2);
    struct stat facts{};
    char last = '\n';
    const bool is_new = ::fstat(fd.get(), &facts) == 0 && facts.st_size == 0;
    if (facts.st_size > 0 && ::pread(fd.get(), &last, 1, facts.st_size - 1) == 1 && last != '\n') {
        bytes += '\n';
    }
    bytes.append(line).append("\n");
    const bool to_disk = durability == Durability::disk;
    // A network file system may say only at the end that there is no room, or no quota.
    if (!write_all(fd.get(), bytes) || (to_disk && ::fdatasync(fd.get()) != 0) || ::close(fd.release()) != 0)
        throw_errno("append to " + path.native(), errno);
    if (to_disk && is_new) sync_directory_of(path);
}

std::int64_t modified_ns(const struct stat& facts) {
    return std::int64_t(facts.st_mtim.tv_sec) * 1'000'000'000 + facts.st_mtim.tv_nsec;
}

fs::path resolved(const fs::path& path) {
    std::error_code failure;
    fs::path found = fs::canonical(path, failure);
    return failure ? path : found;
}

Fd open_regular(const fs::path& path) {
    open_how how{};
    how.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    how.resolve = RESOLVE_NO_SYMLINKS;
    Fd file{int(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how))};
    // A kernel before 5.6, or a sandbox.
    if (!file && (errno == ENOSYS || errno == EPERM)) file = Fd{::open(path.c_str(), int(how.flags))};
    struct stat facts{};
    if (!file || ::fstat(file.get(), &facts) != 0) return {};
    if (S_ISREG(facts.st_mode)) return file;
    errno = EINVAL;
    return {};
}

void make_directories(const fs::path& path) {
    if (path.empty() || ::mkdir(path.c_str(), kDirectoryMode) == 0) return;
    int error = errno;
    if (error == ENOENT && path.has_parent_path() && path.parent_path() != path) {
        make_directories(path.parent_path());
        if (::mkdir(path.c_str(), kDirectoryMode) == 0) return;
        error = errno;
    }
    // A read-only file system says EROFS, and a parent one may not write to EACCES, also for what exists.
    struct stat facts{};
    if (::stat(path.c_str(), &facts) == 0) {
        if (S_ISDIR(facts.st_mode)) return;
        error = ENOTDIR;
    }
    throw_errno("create directory " + path.native(), error);
}

Fd open_append(const fs::path& path) {
    return Fd{check_syscall("open " + path.native(),
                            ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode))};
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        if (written == 0) {
            errno = ENOSPC;
            return false;
        }
        bytes.remove_prefix(std::size_t(written));
    }
    return true;
}

void set_to_null(std::initializer_list<int> fds) {
    Fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    if (!null) return;
    for (int fd : fds)
        if (fd != null.get()) ::dup2(null.get(), fd);
    if (std::find(fds.begin(), fds.end(), null.get()) == fds.end()) return;
    ::fcntl(null.get(), F_SETFD, 0); // it was closed, and is what /dev/null was opened as
    null.release();
}

fs::path user_directory(const char* variable, const char* below_home) {
    const char* given = std::getenv(variable);
    if (given != nullptr && *given == '/') return fs::path{given} / "poster";
    const char* home = std::getenv("HOME");
    return home != nullptr && *home == '/' ? fs::path{home} / below_home / "poster" : fs::path{};
}

bool on_shared_file_system(const fs::path& path) {
    if (const char* assumed = std::getenv("POSTER_ASSUME_SHARED"); assumed && std::strcmp(assumed, "1") == 0)
        return true;
    const auto facts = nearest_statfs(path);
    if (!facts) return false;
    const FileSystem* entry = known(magic_of(*facts));
    return entry && entry->sharing == Sharing::shared;
}

std::string file_system_name(const fs::path& path) {
    const auto facts = nearest_statfs(path);
    if (!facts) return "unknown";
    const FileSystem* entry = known(magic_of(*facts));
    return entry ? entry->name : fmt::format("0x{:x}", magic_of(*facts));
}

std::optional<std::uint64_t> free_bytes(const fs::path& path) {
    const auto facts = nearest_statfs(path);
    if (!facts) return {};
    return std::uint64_t(facts->f_bavail) * std::uint64_t(facts->f_bsize);
}

} // namespace poster
