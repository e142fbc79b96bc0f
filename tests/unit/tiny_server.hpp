#pragma once
// A server on a free port of 127.0.0.1, for clients under test: each connection is handed to the test's own function.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "error.hpp"
#include "fd.hpp"
#include "files.hpp"

namespace poster {

// One connection, seen from the server.
class Peer {
public:
    explicit Peer(int fd) : fd_(fd) {}
    // Up to and with `end`; what came of it if the client closes before.
    std::string read_until(const std::string& end) {
        while (pending_.find(end) == std::string::npos && fill()) {
        }
        const std::size_t found = pending_.find(end);
        return take(found == std::string::npos ? pending_.size() : found + end.size());
    }
    std::string read(std::size_t bytes) {
        while (pending_.size() < bytes && fill()) {
        }
        return take(std::min(bytes, pending_.size()));
    }
    // Head and body of the next request; empty if the client closes.
    std::string read_request() {
        std::string request = read_until("\r\n\r\n");
        const std::size_t length = request.find("Content-Length: ");
        if (length != std::string::npos) request += read(std::stoul(request.substr(length + 16)));
        return request;
    }
    void say(const std::string& bytes) const { write_all(fd_, bytes); }
    void reset() const {
        const linger at_once{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }

private:
    bool fill() {
        char chunk[4096];
        const ssize_t got = ::read(fd_, chunk, sizeof chunk);
        if (got > 0) pending_.append(chunk, std::size_t(got));
        return got > 0;
    }
    std::string take(std::size_t bytes) {
        std::string taken = pending_.substr(0, bytes);
        pending_.erase(0, bytes);
        return taken;
    }
    int fd_;
    std::string pending_;
};

class TinyServer {
public:
    explicit TinyServer(std::function<void(Peer&)> serve) : serve_(std::move(serve)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        check_syscall("bind", ::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size));
        check_syscall("listen", ::listen(socket_.get(), 16));
        ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { accept_all(); });
    }
    TinyServer(const TinyServer&) = delete;
    TinyServer& operator=(const TinyServer&) = delete;
    ~TinyServer() {
        ::shutdown(socket_.get(), SHUT_RDWR);
        thread_.join();
    }

    std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
    int connections() const { return connections_; }

private:
    void accept_all() {
        for (;;) {
            const Fd client{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
            if (!client) return;
            ++connections_;
            Peer peer{client.get()};
            serve_(peer);
        }
    }
    std::function<void(Peer&)> serve_;
    Fd socket_{check_syscall("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
    int port_ = 0;
    std::atomic<int> connections_{0};
    std::thread thread_;
};

} // namespace poster
