#pragma once
// Reads many files at once from an SFTP server.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sftp_session.hpp"

namespace poster::sftp {

struct Reading {
    std::string path;
    std::optional<std::uint64_t> bytes;         // more or fewer is another file; nullopt: as many as there are
    std::function<bool(std::string_view)> sink; // the content in order; false: no more of it

    // Afterwards:
    Status status = Status::ok; // of what failed
    bool complete = false;      // all of it was handed over
    std::uint64_t size = 0;     // as the server says
};

// Throws Lost.
void read_all(Session& session, std::vector<Reading>& files);
// The SHA-256 of each; empty where it cannot be read. `bytes` as above.
std::vector<std::string> hash_all(Session& session, const std::vector<std::pair<std::string, std::uint64_t>>& files);

} // namespace poster::sftp
