#pragma once
// Where copies go by ssh.

#include <string>
#include <string_view>

namespace poster {

struct SshDestination {
    std::string host; // as ssh takes it: an alias or a name, perhaps with `user@`
    std::string port; // empty: as ssh is configured
    std::string path; // "/data/runs", or relative to the folder that a login begins in; "." is that one

    std::string url() const; // "scp://user@host:22/data/runs"; relative: "scp://host/~/runs"
};

// "user@host:/path", "alias:path", "alias", "ssh://user@host:22/path", "ssh://host/~/path". Throws UsageError for what
// is none, or would be an option or a shell's word to ssh.
SshDestination parse_ssh_destination(std::string_view text);

} // namespace poster
