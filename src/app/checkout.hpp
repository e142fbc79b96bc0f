#pragma once
// The captured code of a run as a working tree again.

#include <filesystem>

#include <nlohmann/json_fwd.hpp>

namespace poster {

namespace fs = std::filesystem;

// Throws Error, having changed nothing, where the code cannot be rebuilt here: no code was captured, the repository or
// its commit is gone, files were too large to be kept.
void check_rebuildable(const nlohmann::json& run, const fs::path& run_dir);

// Builds the tree of commit, diff and untracked files at `target` (which must not exist), as a git worktree of the
// repository where there is a commit. The user's own working tree is not touched. Throws Error.
void rebuild_code(const nlohmann::json& run, const fs::path& run_dir, const fs::path& target);

// The git directory that a worktree belongs to; empty where it is none.
fs::path repository_of(const fs::path& worktree);
// Lets the repository forget the worktrees that are gone.
void forget_worktrees(const fs::path& repository);

} // namespace poster
