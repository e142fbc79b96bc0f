#pragma once
// Brings a batch of files to an SFTP server: each under a name of its own first, then verified, then renamed.

#include <set>
#include <span>
#include <string>

#include <poster/remote.hpp>

#include "rsync.hpp"
#include "sftp_session.hpp"
#include "ssh_shell.hpp"

namespace poster {

// What one connection offers, and what is known of the other end.
struct SshPlace {
    sftp::Session* session = nullptr;
    SshShell* shell = nullptr;     // nullptr: there is none
    Rsync* rsync = nullptr;        // nullptr: large files go by SFTP too
    std::string root;              // of the copies, from the root of the file system on
    std::string shown;             // "user@host"
    std::set<std::string> folders; // that are there

    std::string at(const std::string& path) const { return root == "/" ? root + path : root + "/" + path; }
};

// So many bytes are read back sooner than a login takes.
inline constexpr std::uint64_t kSoonReadBack = 4 << 20;

// How many files, from the beginning of these, are brought there at once.
std::size_t batch_size(std::span<const RemoteFile> files, const SshPlace& place);

// Tells of each file of the batch, unless this throws: Cancelled, or sftp::Lost with `told` saying which were told.
// `first`: the number of the first one for `progress`.
void put_batch(SshPlace& place, std::span<const RemoteFile> files, std::size_t first, Progress& progress,
               std::vector<bool>& told);

// What the server's word about that path means.
Delivery explain_status(const SshPlace& place, sftp::Status status, const std::string& what);

} // namespace poster
