#include "odd_file_system.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace {

std::function<int(const char*, const char*)>& link_in_use() {
    static std::function<int(const char*, const char*)> function;
    return function;
}

std::function<int(int)>& close_in_use() {
    static std::function<int(int)> function;
    return function;
}

int answer(int error) {
    errno = error == 0 ? errno : error;
    return error == 0 ? 0 : -1;
}

} // namespace

// These stand before the C library's.
extern "C" int link(const char* from, const char* to) noexcept {
    return link_in_use() ? answer(link_in_use()(from, to)) : poster::real_link(from, to);
}

extern "C" int close(int fd) {
    return close_in_use() ? answer(close_in_use()(fd)) : poster::real_close(fd);
}

namespace poster {

int real_link(const char* from, const char* to) {
    return ::linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int real_close(int fd) {
    return int(::syscall(SYS_close, fd));
}

void OddFileSystem::on_link(std::function<int(const char*, const char*)> link) {
    link_in_use() = std::move(link);
}

void OddFileSystem::on_close(std::function<int(int)> close) {
    close_in_use() = std::move(close);
}

OddFileSystem::~OddFileSystem() {
    link_in_use() = nullptr;
    close_in_use() = nullptr;
}

} // namespace poster
