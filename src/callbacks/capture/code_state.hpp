#pragma once
// The state of the code in a git repository: commit, branch, remotes, the diff against the commit and the untracked
// files: enough to build the working tree again.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <redact.hpp>
#include <subprocess.hpp>

namespace poster {

// Reads a repository without changing it: no lock, no refreshed index, no hook, no pager.
class Git {
public:
    explicit Git(std::filesystem::path dir) : dir_(std::move(dir)) {}
    CommandResult run(std::vector<std::string> words) const;              // exit_code -1: there is no git, or it hangs
    std::optional<std::string> ask(std::vector<std::string> words) const; // stdout; nullopt: it failed
    std::string line(std::vector<std::string> words) const;               // without the newline; empty: it failed

private:
    std::filesystem::path dir_;
};

struct CodeCapture {
    std::filesystem::path cwd;
    std::filesystem::path store;     // what lies below it is no code
    std::uint64_t untracked_limit{}; // bytes of untracked files that are kept, in all
    const Redactor& redactor;
    // Called with "diff.patch" and "untracked/PATH", and what they hold; may be empty.
    std::function<void(const std::filesystem::path& name, std::string_view content)> keep;
};

// The section `code` of run.json (docs/run-directory.md); null where `cwd` is in no git repository.
nlohmann::json capture_code(const CodeCapture& capture);

} // namespace poster
