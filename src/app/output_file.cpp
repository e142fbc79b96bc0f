#include "output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>

namespace poster {

namespace {

constexpr mode_t kUsual = 0666; // less the user's umask

} // namespace

OutputFile::OutputFile(fs::path path) : path_(std::move(path)) {
    std::error_code failure;
    const auto kind = fs::status(path_, failure).type();
    if (kind == fs::file_type::directory)
        throw Error(fmt::format("cannot write {}: it is a directory", path_.string()));
    const bool special = fs::exists(path_, failure) && kind != fs::file_type::regular;
    // A link stays one: what it leads to is replaced.
    if (!special && fs::is_symlink(path_, failure)) path_ = fs::weakly_canonical(path_, failure);
    if (!special) temporary_ = fmt::format("{}.{}.part", path_.string(), ::getpid());
    const fs::path& opened = special ? path_ : temporary_;
    const int flags = O_WRONLY | O_CLOEXEC | (special ? 0 : O_CREAT | O_TRUNC);
    file_ = Fd(::open(opened.c_str(), flags, kUsual));
    if (file_) return;
    temporary_.clear();
    throw_errno("write " + path_.string(), errno);
}

OutputFile::~OutputFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::string_view bytes) {
    if (!write_all(file_.get(), bytes)) throw_errno("write " + path_.string(), errno);
}

void OutputFile::finish() {
    if (temporary_.empty()) return;
    check_syscall("write " + path_.string(), std::rename(temporary_.c_str(), path_.c_str()));
    temporary_.clear();
}

} // namespace poster
