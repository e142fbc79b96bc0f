#include "link.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace poster {

namespace {

// Both ends are the same binary on the same machine: the layout in memory is the format.
struct Header {
    std::uint32_t kind;
    std::int32_t number;
    std::int32_t pid;
    std::uint32_t uid;
};

} // namespace

bool send_message(int fd, const LinkMessage& message) {
    Header header{std::uint32_t(message.kind), message.number, message.pid, message.uid};
    iovec parts[2] = {{&header, sizeof header},
                      {const_cast<char*>(message.text.data()), std::min(message.text.size(), kLinkText)}};
    msghdr datagram{};
    datagram.msg_iov = parts;
    datagram.msg_iovlen = 2;
    ssize_t sent;
    do sent = ::sendmsg(fd, &datagram, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

Receive receive_message(int fd, LinkMessage& message) {
    Header header{};
    char text[kLinkText];
    iovec parts[2] = {{&header, sizeof header}, {text, sizeof text}};
    msghdr datagram{};
    datagram.msg_iov = parts;
    datagram.msg_iovlen = 2;
    ssize_t got;
    do got = ::recvmsg(fd, &datagram, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0) return errno == EAGAIN ? Receive::nothing : Receive::closed;
    if (std::size_t(got) < sizeof header) return Receive::closed; // 0: the other side has closed
    message.kind = LinkKind(header.kind);
    message.number = header.number;
    message.pid = header.pid;
    message.uid = header.uid;
    message.text.assign(text, std::size_t(got) - sizeof header);
    return Receive::message;
}

SharedPage* map_shared_page() {
    void* page = ::mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? nullptr : static_cast<SharedPage*>(page);
}

} // namespace poster
