#include "copy_file.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "error.hpp"
#include "fd.hpp"
#include "files.hpp"

namespace poster {

namespace {

constexpr mode_t kFileMode = 0600;
constexpr std::size_t kBlock = 1 << 17;
constexpr std::uint64_t kPiece = 64 << 20; // of a copy inside the kernel

fs::path temporary_beside(const fs::path& path) {
    static std::atomic<unsigned> counter{0};
    return path.parent_path() / fmt::format(".{}.{}.{}.tmp", path.filename().native(), ::getpid(), counter++);
}

class Copying {
public:
    Copying(const OpenFile& from, const OpenFile& to, std::uint64_t bytes,
            const std::function<bool(std::uint64_t)>& moved)
        : from_(from), to_(to), left_(bytes), moved_(moved) {}

    std::uint64_t run() {
        if (!clone() && !copy_in_kernel()) copy_through_memory();
        return copied_;
    }

private:
    bool clone() {
        if (::ioctl(to_.fd, FICLONE, from_.fd) != 0) return false;
        struct stat facts{};
        check_syscall("write " + to_.path.native(), ::fstat(to_.fd, &facts));
        if (std::uint64_t(facts.st_size) > left_) {
            check_syscall("write " + to_.path.native(), ::ftruncate(to_.fd, off_t(left_)));
            facts.st_size = off_t(left_);
        }
        go_on(std::uint64_t(facts.st_size));
        return true;
    }

    // False: not all was copied, perhaps nothing; both descriptors stand where it goes on.
    bool copy_in_kernel() {
        while (left_ > 0) {
            const ssize_t got =
                ::copy_file_range(from_.fd, nullptr, to_.fd, nullptr, std::min<std::uint64_t>(left_, kPiece), 0);
            if (got <= 0) return false; // the end, or an error: reading will tell
            if (!go_on(std::uint64_t(got))) return true;
        }
        return true;
    }

    void copy_through_memory() {
        std::string block(kBlock, '\0');
        while (left_ > 0) {
            const ssize_t got = ::read(from_.fd, block.data(), std::min<std::uint64_t>(left_, block.size()));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) throw_errno("read " + from_.path.native(), errno);
            if (got == 0) return;
            if (!write_all(to_.fd, {block.data(), std::size_t(got)})) throw_errno("write " + to_.path.native(), errno);
            if (!go_on(std::uint64_t(got))) return;
        }
    }

    bool go_on(std::uint64_t bytes) {
        copied_ += bytes;
        left_ -= bytes;
        return moved_(bytes);
    }

    const OpenFile& from_;
    const OpenFile& to_;
    std::uint64_t left_;
    std::uint64_t copied_ = 0;
    const std::function<bool(std::uint64_t)>& moved_;
};

struct stat facts_of(const fs::path& path) {
    struct stat facts{};
    check_syscall("read " + path.native(), ::stat(path.c_str(), &facts));
    return facts;
}

// To a name that nobody has: gives the size.
std::uint64_t copy_new(const fs::path& from, const fs::path& to) {
    const Fd source{check_syscall("read " + from.native(), ::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
    struct stat facts{};
    check_syscall("read " + from.native(), ::fstat(source.get(), &facts));
    if (!S_ISREG(facts.st_mode)) throw Error(from.native() + " is not a regular file");
    const mode_t mode = kFileMode | (facts.st_mode & S_IXUSR);
    Fd target{check_syscall("write " + to.native(),
                            ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode))};
    try {
        copy_beginning({source.get(), from}, {target.get(), to}, std::numeric_limits<std::uint64_t>::max(),
                       [](std::uint64_t) { return true; });
        check_syscall("write " + to.native(), ::fstat(target.get(), &facts));
        check_syscall("write " + to.native(), ::close(target.release()));
    } catch (const Error&) {
        ::unlink(to.c_str());
        throw;
    }
    return std::uint64_t(facts.st_size);
}

// A folder can be replaced by a plain rename only where it is empty.
void put_in_place(const fs::path& made, const fs::path& to) {
    if (::rename(made.c_str(), to.c_str()) == 0) return;
    const int error = errno;
    std::error_code ignored;
    const bool in_the_way = error == EISDIR || error == ENOTDIR || error == ENOTEMPTY || error == EEXIST;
    if (in_the_way && ::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
        fs::remove_all(made, ignored); // it is the old one now
        return;
    }
    const fs::path old = temporary_beside(to);
    if (!in_the_way || ::rename(to.c_str(), old.c_str()) != 0 || ::rename(made.c_str(), to.c_str()) != 0) {
        fs::remove_all(made, ignored);
        throw_errno("write " + to.native(), error);
    }
    fs::remove_all(old, ignored);
}

// False: the name is taken.
bool put_as_new(const fs::path& made, const fs::path& to) {
    if (::link(made.c_str(), to.c_str()) == 0) return ::unlink(made.c_str()) == 0;
    if (errno == EEXIST) return false;
    const Fd claim{::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode)};
    if (!claim && errno == EEXIST) return false; // there are no hard links here
    check_syscall("write " + to.native(), claim.get());
    check_syscall("write " + to.native(), ::rename(made.c_str(), to.c_str()));
    return true;
}

bool is_same(const fs::path& one, const fs::path& other) {
    std::error_code missing;
    return fs::equivalent(one, other, missing);
}

class FolderCopy {
public:
    FolderCopy(const fs::path& root, std::vector<fs::path>& left_out)
        : root_(fs::canonical(root)), left_out_(left_out) {}

    void copy(const fs::path& from, const fs::path& to) {
        check_syscall("create directory " + to.native(), ::mkdir(to.c_str(), 0700));
        for (const auto& entry : fs::directory_iterator(from)) copy_entry(entry, to / entry.path().filename());
    }
    const Copied& copied() const { return copied_; }

private:
    void copy_entry(const fs::directory_entry& entry, const fs::path& to) {
        std::error_code broken;
        if (entry.is_symlink() && stays_inside(entry.path())) {
            fs::create_symlink(fs::read_symlink(entry.path()), to);
        } else if (entry.is_directory() && !entry.is_symlink()) {
            copy(entry.path(), to);
        } else if (entry.is_regular_file(broken)) {
            copied_.bytes += copy_new(entry.path(), to);
            ++copied_.files;
        } else {
            left_out_.push_back(entry.path());
        }
    }

    bool stays_inside(const fs::path& link) const {
        const fs::path target = fs::read_symlink(link);
        if (target.is_absolute()) return false;
        const fs::path relative = fs::weakly_canonical(link.parent_path() / target).lexically_relative(root_);
        return !relative.empty() && *relative.begin() != "..";
    }

    fs::path root_;
    std::vector<fs::path>& left_out_;
    Copied copied_;
};

Copied count_folder(const fs::path& folder) {
    Copied counted;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_symlink() || !entry.is_regular_file()) continue;
        counted.bytes += entry.file_size();
        ++counted.files;
    }
    return counted;
}

} // namespace

Copied clone_file(const fs::path& from, const fs::path& to) {
    if (is_same(from, to)) return {std::uint64_t(facts_of(from).st_size), 1};
    make_directories(to.parent_path());
    const fs::path made = temporary_beside(to);
    const Copied copied{copy_new(from, made), 1};
    put_in_place(made, to);
    return copied;
}

fs::path clone_file_as_new(const fs::path& from, const fs::path& base, const std::string& ending) {
    make_directories(base.parent_path());
    const fs::path made = temporary_beside(base);
    copy_new(from, made);
    for (int number = 0;; ++number) {
        fs::path to = base;
        to += number == 0 ? "." + ending : fmt::format("-{}.{}", number, ending);
        if (put_as_new(made, to)) return to;
    }
}

Copied clone_folder(const fs::path& from, const fs::path& to, std::vector<fs::path>& left_out) {
    try {
        if (is_same(from, to)) return count_folder(from);
        make_directories(to.parent_path());
        const fs::path inside = fs::canonical(to.parent_path()).lexically_relative(fs::canonical(from));
        if (!inside.empty() && *inside.begin() != "..")
            throw Error("cannot copy " + from.native() + " into itself", "the run's own folder lies below it");
        const fs::path made = temporary_beside(to);
        FolderCopy folder(from, left_out);
        try {
            folder.copy(from, made);
        } catch (const std::exception&) {
            std::error_code ignored;
            fs::remove_all(made, ignored);
            throw;
        }
        put_in_place(made, to);
        return folder.copied();
    } catch (const fs::filesystem_error& error) {
        throw_errno("copy " + from.native(), error.code().value());
    }
}

std::uint64_t copy_beginning(const OpenFile& from, const OpenFile& to, std::uint64_t bytes,
                             const std::function<bool(std::uint64_t)>& moved) {
    return Copying(from, to, bytes, moved).run();
}

} // namespace poster
