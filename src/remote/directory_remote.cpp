#include "directory_remote.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <clock.hpp>
#include <copy_file.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>
#include <slice.hpp>

#include "cancelled.hpp"
#include "crew.hpp"
#include "part_file.hpp"
#include "remote_path.hpp"

namespace poster {

namespace {

namespace fs = std::filesystem;

constexpr mode_t kFolderMode = 0700;

enum class Missing { make, fail };

Fd open_root(const fs::path& root) {
    return Fd{
        check_syscall("open " + root.native(), ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK))};
}

// No link is followed on the way, so that nothing leads out of the root.
Fd open_folder(const fs::path& root, std::span<const std::string> parts, Missing missing) {
    Fd folder = open_root(root);
    fs::path shown = root;
    for (const auto& part : parts) {
        shown /= part;
        int refused = 0; // the reason why it could not be made, if it is not there
        if (missing == Missing::make) {
            if (::mkdirat(folder.get(), part.c_str(), kFolderMode) == 0)
                ::fsync(folder.get()); // some network file systems refuse it
            else
                refused = errno;
        }
        Fd next{::openat(folder.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!next) throw_errno("open " + shown.native(), errno == ENOENT && refused != 0 ? refused : errno);
        folder = std::move(next);
    }
    return folder;
}

// A regular file and its size.
struct Opened {
    Fd fd;
    std::uint64_t bytes = 0;
};

Opened open_file(int folder, const std::string& name, const fs::path& shown) {
    Opened file;
    file.fd = Fd{check_syscall("read " + shown.native(),
                               ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC))};
    struct stat facts{};
    check_syscall("read " + shown.native(), ::fstat(file.fd.get(), &facts));
    if (!S_ISREG(facts.st_mode)) throw Error(shown.native() + " is no regular file");
    file.bytes = std::uint64_t(facts.st_size);
    return file;
}

std::string hash_of(int fd, const fs::path& shown, const Progress& progress) {
    Sha256 hash;
    const auto take = [&](std::string_view bytes) { hash.update(bytes); };
    const SliceRead read = read_slice(fd, 0, kToTheEnd, take, [&] { return progress.cancelled(); });
    if (read == SliceRead::cancelled) throw Cancelled{};
    if (read == SliceRead::failed) throw_errno("read " + shown.native(), errno);
    return hash.hex();
}

// The first bytes of `from`, verified, to a file of that name; or `mismatch`.
Delivery copy_verified(const OpenFile& from, int folder, const fs::path& shown, const RemoteFile& file,
                       std::size_t index, Progress& progress, const Delivery& mismatch) {
    PartFile part(folder, shown);
    const std::uint64_t copied = copy_beginning(from, {part.fd(), shown}, file.bytes, [&](std::uint64_t bytes) {
        progress.moved(index, bytes);
        return !progress.cancelled();
    });
    if (progress.cancelled()) throw Cancelled{};
    if (copied < file.bytes)
        return Delivery::passing(fmt::format("{} is shorter than its {} bytes", from.path.native(), file.bytes));
    part.flush();
    if (!file.sha256.empty() && hash_of(part.fd(), shown, progress) != file.sha256.get()) {
        if (progress.cancelled()) throw Cancelled{};
        return mismatch;
    }
    part.put_in_place();
    return Delivery::arrived();
}

// What the file system's word means: whether time may mend it, and whether other files would fare the same.
struct Trouble {
    Delivery delivery;
    bool everywhere = false;
};

Trouble explain(const SystemError& error, const fs::path& root) {
    switch (error.code()) {
    case EACCES:
    case EPERM: return {Delivery::permanent(error.what(), "you need the right to write below " + root.native()), false};
    case EROFS: return {Delivery::permanent(error.what(), "mount it for reading and writing"), true};
    case ELOOP:
    case ENOTDIR:
        return {Delivery::permanent(error.what(), "no link is followed below " + root.native() +
                                                      ", and a folder cannot stand where a file does"),
                false};
    case EISDIR:
    case ENAMETOOLONG:
    case EINVAL:
    case EILSEQ:
        return {Delivery::permanent(error.what(), "that name cannot be made there: leave it out by upload.exclude"),
                false};
    case EFBIG:
        return {Delivery::permanent(error.what(), "files there may not be that large: leave it out by upload.exclude"),
                false};
    case ENOSPC:
    case EDQUOT: return {Delivery::passing(error.what()), false};
    default: // EIO, ENOTCONN, ESTALE, ETIMEDOUT …
        return {Delivery::passing(error.what()), true};
    }
}

Trouble not_mounted(const fs::path& root, int error) {
    return {Delivery::not_yet(fmt::format("{}: {}", root.native(), std::strerror(error)),
                              "is it mounted? A new place has to be made once: mkdir " + root.native()),
            true};
}

// Calls `act` for each file, several at a time. What it returns is told; where the place as a whole is in trouble, that
// is told of one file and the others are left.
template <typename Act>
void for_each_file(const fs::path& root, std::span<const RemoteFile> files, Progress& progress, const Act& act) {
    std::atomic<std::size_t> next{0};
    std::atomic<bool> stopped{false};
    const auto tell = [&](std::size_t index, const Trouble& trouble) {
        if (trouble.everywhere && stopped.exchange(true)) return;
        progress.done(index, trouble.delivery);
    };
    const auto work = [&] {
        for (std::size_t index = next++; index < files.size() && !stopped; index = next++) {
            if (progress.cancelled()) return;
            try {
                if (::access(root.c_str(), F_OK) != 0) {
                    tell(index, not_mounted(root, errno));
                    continue;
                }
                progress.done(index, act(index));
            } catch (const Cancelled&) {
                return;
            } catch (const SystemError& error) {
                tell(index, explain(error, root));
            } catch (const Error& error) {
                progress.done(index, Delivery::permanent(error.what(), error.help()));
            }
        }
    };
    work_together(int(std::min<std::size_t>(std::size_t(progress.jobs()), files.size())), work);
}

bool is_there(int folder, const RemoteFile& file, const std::string& name, const fs::path& shown,
              const Progress& progress) {
    struct stat facts{};
    if (::fstatat(folder, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(facts.st_mode) ||
        std::uint64_t(facts.st_size) != file.bytes)
        return false;
    const Opened opened = open_file(folder, name, shown);
    return hash_of(opened.fd.get(), shown, progress) == file.sha256.get();
}

} // namespace

DirectoryRemote::DirectoryRemote(fs::path root) : root_(std::move(root)) {}

std::string DirectoryRemote::destination() const {
    return "file://" + root_.native();
}

void DirectoryRemote::put(std::span<const RemoteFile> files, Progress& progress) {
    for_each_file(root_, files, progress, [&](std::size_t index) {
        const RemoteFile& file = files[index];
        auto parts = remote_path_parts(file.path);
        const std::string name = parts.back();
        parts.pop_back();
        const fs::path shown = root_ / file.path;
        const Fd local = open_regular(file.local);
        if (!local) return Delivery::passing(fmt::format("read {}: {}", file.local.native(), std::strerror(errno)));
        const Fd folder = open_folder(root_, parts, Missing::make);
        if (is_there(folder.get(), file, name, shown, progress)) {
            progress.moved(index, file.bytes);
            return Delivery::arrived();
        }
        return copy_verified(
            {local.get(), file.local}, folder.get(), shown, file, index, progress,
            Delivery::passing(file.local.native() + " changed while it was copied, or did not arrive whole"));
    });
}

void DirectoryRemote::get(std::span<const RemoteFile> files, Progress& progress) {
    for_each_file(root_, files, progress, [&](std::size_t index) {
        RemoteFile file = files[index];
        auto parts = remote_path_parts(file.path);
        const std::string name = parts.back();
        parts.pop_back();
        const fs::path shown = root_ / file.path;
        Opened opened;
        try {
            opened = open_file(open_folder(root_, parts, Missing::fail).get(), name, shown);
        } catch (const SystemError& error) {
            if (error.code() != ENOENT) throw;
            return Delivery::gone_from(shown.native());
        }
        if (file.sha256.empty()) file.bytes = opened.bytes;
        if (opened.bytes != file.bytes) return Delivery::changed_at(shown.native());
        const Fd folder = open_root(file.local.parent_path());
        return copy_verified({opened.fd.get(), shown}, folder.get(), file.local, file, index, progress,
                             Delivery::changed_at(shown.native()));
    });
}

void DirectoryRemote::verify(std::span<const RemoteFile> files, Progress& progress) {
    for_each_file(root_, files, progress, [&](std::size_t index) {
        const RemoteFile& file = files[index];
        auto parts = remote_path_parts(file.path);
        const std::string name = parts.back();
        parts.pop_back();
        const fs::path shown = root_ / file.path;
        try {
            const Fd folder = open_folder(root_, parts, Missing::fail);
            struct stat facts{};
            if (::fstatat(folder.get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0)
                throw_errno("read " + shown.native(), errno);
            if (is_there(folder.get(), file, name, shown, progress)) return Delivery::arrived();
        } catch (const SystemError& error) {
            if (error.code() != ENOENT) throw;
            return Delivery::gone_from(shown.native());
        }
        return Delivery::changed_at(shown.native());
    });
}

std::vector<std::string> DirectoryRemote::list(const std::string& folder) {
    fs::path place = root_;
    if (!folder.empty())
        for (const auto& part : remote_path_parts(folder)) place /= part;
    open_root(root_);
    std::error_code failure;
    std::vector<std::string> names;
    for (fs::directory_iterator entry(place, failure); !failure && entry != fs::directory_iterator();
         entry.increment(failure))
        if (const auto name = entry->path().filename().native(); !is_part_name(name)) names.push_back(name);
    if (failure && failure.value() != ENOENT) throw_errno("list " + place.native(), failure.value());
    std::sort(names.begin(), names.end());
    return names;
}

std::size_t DirectoryRemote::remove_leftovers(Milliseconds older, bool dry_run) {
    open_root(root_);
    std::size_t count = 0;
    std::error_code failure;
    if (!fs::exists(root_ / "runs", failure)) return 0;
    fs::recursive_directory_iterator walk(root_ / "runs", fs::directory_options::skip_permission_denied, failure);
    for (; !failure && walk != fs::recursive_directory_iterator(); walk.increment(failure)) {
        if (!is_part_name(walk->path().filename().native())) continue;
        struct stat facts{};
        if (::lstat(walk->path().c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
        const WallTime changed{std::chrono::seconds(facts.st_mtim.tv_sec)};
        if (wall_now() - changed < older) continue;
        if (!dry_run) check_syscall("remove " + walk->path().native(), ::unlink(walk->path().c_str()));
        ++count;
    }
    if (failure) throw_errno("list " + root_.native(), failure.value());
    return count;
}

} // namespace poster
