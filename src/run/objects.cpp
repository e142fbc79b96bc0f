#include "objects.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "error.hpp"
#include "files.hpp"
#include "sha256.hpp"

namespace poster {

namespace {

// An object cut short by a full disk or a crash must not be linked into every later run.
bool is_whole(const fs::path& object, std::size_t size) {
    struct stat facts{};
    return ::lstat(object.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && std::size_t(facts.st_size) == size;
}

void write_new_file(const fs::path& path, std::string_view content) {
    Fd fd{
        check_syscall("create " + path.native(), ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600))};
    if (write_all(fd.get(), content)) return;
    const int error = errno;
    ::unlink(path.c_str());
    throw_errno("write " + path.native(), error);
}

} // namespace

void store_object(const fs::path& store, std::string_view content, const fs::path& path) {
    const fs::path objects = store / "objects";
    const fs::path object = objects / sha256_hex(content);
    if (!is_whole(object, content.size())) {
        make_directories(objects);
        replace_file(object, content);
    }
    if (::link(object.c_str(), path.c_str()) == 0) return;
    if (errno == EEXIST) { // of an attempt before
        ::unlink(path.c_str());
        if (::link(object.c_str(), path.c_str()) == 0) return;
    }
    write_new_file(path, content); // no hard links here, or as many as an inode may have
}

} // namespace poster
