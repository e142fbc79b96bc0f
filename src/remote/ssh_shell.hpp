#pragma once
// A shell at the other end of an ssh, for what SFTP cannot: hashes. Many accounts have none.

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

    // `check` is called several times a second while it waits; it may throw. A login takes its time, with the scripts
    // that it runs: it is waited for when it is first needed.
    SshShell(std::unique_ptr<ChildProcess> program, std::function<void()> check);

    // False: it is none, or cannot hash.
    bool usable();
    // It has said which, and need not be waited for.
    bool has_answered();
    // The SHA-256 of each; empty where it is not known.
    std::vector<std::string> hashes(const std::vector<Piece>& pieces);
    // What a new part begins as: what an earlier try has left, else the file that it will replace. Always a copy, since
    // whoever wrote what was left may still do so.
    struct Basis {
        std::string left; // how the paths of such parts begin
        std::string target, part;
    };
    void begin_parts(const std::vector<Basis>& parts);
    // Begins to hash a file while it grows; nothing else is asked of the shell until the hash is.
    void hash_as_it_grows(const std::string& path);
    void has_grown_to(std::uint64_t bytes); // returns at once
    std::string hash_of_grown();            // it has grown to its end

private:
    // What the script prints; nullopt: the shell has gone. The second and third are the first in two steps.
    std::optional<std::string> run(const std::string& script, int patience_ms);
    void start(const std::string& script);
    std::optional<std::string> await(int patience_ms);
    void move(int timeout_ms);
    bool has_ended() const { return printed_.find(end_mark_) != std::string::npos; }
    bool listens() const; // the command that hashes what grows
    void learn_programs();
    void feed();
    void hash_together(const std::vector<Piece>& pieces, std::vector<std::string>& found);
    void hash_alone(const std::vector<Piece>& pieces, const std::vector<std::size_t>& which,
                    std::vector<std::string>& found);

    std::unique_ptr<ChildProcess> program_;
    std::function<void()> check_;
    std::string end_mark_, printed_;
    Outgoing typed_;   // what it has not taken yet
    bool open_ = true; // it may print more
    bool learnt_ = false;
    std::string many_, one_; // the commands that hash
    bool usable_ = false, python_ = false;
    std::uint64_t grown_ = 0, fed_ = 0; // of the file that grows: in megabytes
};

} // namespace poster
