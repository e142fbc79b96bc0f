#pragma once
// A conversation with an SFTP server, over the standard streams of a program (ssh). Many requests may be on their way;
// the server answers them in the order in which it carries them out.

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include <child_process.hpp>

#include "sftp_wire.hpp"

namespace poster::sftp {

// The program has ended, or says what no SFTP server says.
struct Lost {
    std::string reason; // empty: the program tells itself
};

class Session {
public:
    using Handler = std::function<void(const Reply&)>;

    // `check` is called several times a second while it waits; it may throw. This and all below throw Lost.
    Session(ChildProcess& program, std::function<void()> check);

    void request(Type type, const std::string& body, Handler handler);
    void request(std::string_view extension, const std::string& body, Handler handler);
    // Writes so many bytes there from the same place in a file, which stays open until it is answered.
    void write(const std::string& handle, std::uint64_t offset, std::size_t bytes, int file, Outgoing::Failed failed,
               Handler handler);
    Reply ask(Type type, const std::string& body);
    Reply ask(std::string_view extension, const std::string& body);
    // Sends and receives until all is answered. `more` is asked for further requests whenever there is room for some,
    // and says whether it may have others later.
    void wait(const std::function<bool()>& more = {});

    void flush(); // until all that was asked is on its way

    bool has(std::string_view extension) const { return extensions_.contains(std::string{extension}); }
    std::size_t read_size() const { return read_size_; } // of one request
    std::size_t write_size() const { return write_size_; }
    std::size_t open_files() const { return open_files_; } // at a time

private:
    void begin_packet(Type type, std::size_t body);
    void expect_reply(std::size_t weight, Handler handler);
    void turn();
    void take_packets();
    void take_packet(std::string_view packet);
    void learn_limits();

    ChildProcess& program_;
    std::function<void()> check_;
    struct Waiting {
        Handler handler;
        std::size_t weight; // of what is written or read, in bytes
    };
    std::unordered_map<std::uint32_t, Waiting> waiting_;
    std::unordered_map<std::string, std::string> extensions_;
    std::uint32_t next_id_ = 0;
    std::size_t weight_waiting_ = 0;
    Outgoing out_;
    std::string in_;
    bool greeted_ = false;
    std::size_t read_size_ = 32 << 10, write_size_ = 32 << 10, open_files_ = 64;
};

} // namespace poster::sftp
