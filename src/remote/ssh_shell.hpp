#pragma once
// A shell at the other end of an ssh, for what SFTP cannot: hashes and flushing. Many accounts have none.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <child_process.hpp>

namespace poster {

class SshShell {
public:
    struct Piece {
        std::string path; // from the root on, so that none begins with '-'
        std::uint64_t bytes = 0;
        bool beginning = false; // only so many from its beginning; else it should have so many
    };

    // `check` is called several times a second while it waits; it may throw.
    SshShell(std::unique_ptr<ChildProcess> program, std::function<void()> check);

    // False: it is none, or cannot hash.
    bool usable() const { return usable_; }
    // The SHA-256 of each; empty where it is not known.
    std::vector<std::string> hashes(const std::vector<Piece>& pieces);
    // Begins to hash a file while it grows to that many bytes; nothing else is asked of the shell until the hash is.
    void hash_as_it_grows(const Piece& piece);
    std::string hash_of_grown();
    // It does not grow to its end: the shell is of no use any more, as it waits for that.
    void give_up() { usable_ = false; }
    // Puts on the disk what these folders list.
    void flush(const std::vector<std::string>& folders);

private:
    // What the script prints; nullopt: the shell has gone.
    std::optional<std::string> run(const std::string& script, int patience_ms);
    void start(const std::string& script);
    std::optional<std::string> await(int patience_ms);
    void find_programs();
    void hash_together(const std::vector<Piece>& pieces, std::vector<std::string>& found);
    void hash_alone(const std::vector<Piece>& pieces, const std::vector<std::size_t>& which,
                    std::vector<std::string>& found);

    std::unique_ptr<ChildProcess> program_;
    std::function<void()> check_;
    std::string end_mark_, printed_;
    bool open_ = true;       // it may print more
    std::string many_, one_; // the commands that hash
    bool usable_ = false;
};

} // namespace poster
