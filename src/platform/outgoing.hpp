#pragma once
// What is on its way into a pipe: bytes, and pieces of files, which take no way through this process's memory.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace poster {

class Outgoing {
public:
    // Why a piece could not be read: errno; 0: the file is shorter. Zeros go in the place of what is missing.
    using Failed = std::function<void(int error)>;

    void add(std::string_view bytes);
    // The file stays open until it is through.
    void add_piece(int file, std::uint64_t offset, std::size_t bytes, Failed failed);
    std::size_t size() const { return size_; } // bytes that are left
    bool empty() const { return size_ == 0; }
    void clear();
    // As much as the pipe, which does not block, takes now. All is dropped where nobody reads it any more.
    void write_to(int pipe);

private:
    struct Piece {
        std::size_t behind; // so many of bytes_
        int file;
        std::uint64_t offset;
        std::size_t bytes;
        Failed failed;
        bool readable = true;
    };

    long move(int pipe); // as write(2)
    long move_piece(int pipe, Piece& piece);
    void moved(std::size_t count);

    std::string bytes_;
    std::size_t sent_ = 0; // of bytes_
    std::deque<Piece> pieces_;
    std::size_t size_ = 0;
    bool splices_ = true; // some file systems know no splice(2), and some filters of system calls forbid it
};

} // namespace poster
