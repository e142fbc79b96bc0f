#include "confined.hpp"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include <error.hpp>

namespace poster {

namespace {

namespace fs = std::filesystem;

constexpr mode_t kFolderMode = 0700;

std::string name_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_missing(const fs::path& file, int folder, const std::string& name) {
    struct stat facts{};
    if (::fstatat(folder, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0) return false;
    if (errno != ENOENT) throw_errno("look at " + file.native(), errno);
    return true;
}

} // namespace

bool is_confined(const std::string& path) {
    if (path.empty() || path.size() >= PATH_MAX || path.find('\0') != std::string::npos) return false;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const auto part = std::string_view(path).substr(at, end - at);
        if (part.empty() || part == "." || part == ".." || part.size() > NAME_MAX) return false;
        at = end + 1;
    }
    return true;
}

Confined::Confined(const fs::path& root)
    : root_(root),
      folder_(check_syscall("open " + root.native(), ::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC))) {}

Fd Confined::folder_of(const std::string& path, Missing missing) const {
    Fd folder{check_syscall("open " + root_.native(), ::openat(folder_.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC))};
    for (std::size_t at = 0, end; (end = path.find('/', at)) != std::string::npos; at = end + 1) {
        const std::string name = path.substr(at, end - at);
        if (missing == Missing::make && ::mkdirat(folder.get(), name.c_str(), kFolderMode) != 0 && errno != EEXIST)
            throw_errno("make the folder " + (root_ / path.substr(0, end)).native(), errno);
        Fd next{::openat(folder.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!next && errno == ENOENT && missing == Missing::leave) return {};
        if (!next) throw_errno("enter " + (root_ / path.substr(0, end)).native(), errno);
        folder = std::move(next);
    }
    return folder;
}

std::optional<struct stat> Confined::look(const std::string& path) const {
    const Fd folder = folder_of(path, Missing::leave);
    struct stat facts{};
    if (!folder) return std::nullopt;
    if (::fstatat(folder.get(), name_of(path).c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0) return facts;
    if (errno != ENOENT) throw_errno("look at " + (root_ / path).native(), errno);
    return std::nullopt;
}

bool Confined::place(const fs::path& file, const std::string& path) const {
    const Fd folder = folder_of(path, Missing::make);
    const std::string name = name_of(path);
    if (::renameat2(AT_FDCWD, file.c_str(), folder.get(), name.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno == EEXIST) return false;
    // Network file systems know neither that flag nor, some of them, hard links.
    if (::linkat(AT_FDCWD, file.c_str(), folder.get(), name.c_str(), 0) == 0) {
        ::unlink(file.c_str());
        return true;
    }
    if (errno == EEXIST || !is_missing(root_ / path, folder.get(), name)) return false;
    check_syscall("make " + (root_ / path).native(), ::renameat(AT_FDCWD, file.c_str(), folder.get(), name.c_str()));
    return true;
}

void Confined::remove(const std::string& path) const {
    const Fd folder = folder_of(path, Missing::leave);
    if (!folder) return;
    if (::unlinkat(folder.get(), name_of(path).c_str(), 0) != 0 && errno != ENOENT)
        throw_errno("delete " + (root_ / path).native(), errno);
}

} // namespace poster
