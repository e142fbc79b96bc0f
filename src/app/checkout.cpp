#include "checkout.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <files.hpp>
#include <subprocess.hpp>
#include <text.hpp>

#include "reading.hpp"

namespace poster {

namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

const json& code_of(const json& run) {
    static const json kNone;
    auto found = run.find("code");
    return found == run.end() ? kNone : *found;
}

// No hook and no monitor of the user's runs, and nothing asks for a password.
void git(const fs::path& dir, const Words& words, const std::string& what, const Words& environment = {}) {
    Words argv{"git",
               "-c",
               "safe.directory=*",
               "-c",
               "core.hooksPath=/dev/null",
               "-c",
               "core.fsmonitor=false",
               "-c",
               "advice.detachedHead=false"};
    argv.insert(argv.end(), words.begin(), words.end());
    Words variables{"GIT_TERMINAL_PROMPT=0"};
    variables.insert(variables.end(), environment.begin(), environment.end());
    CommandLimits limits;
    limits.timeout = std::chrono::minutes(10);
    CommandResult result = run_command(argv, dir, limits, variables);
    if (result.exit_code != 0)
        throw Error(fmt::format("cannot rebuild the code: git could not {}", what), shell_join(argv));
}

bool leaves(const fs::path& relative) {
    return relative.is_absolute() || std::find(relative.begin(), relative.end(), "..") != relative.end();
}

void copy_untracked(const fs::path& from, const fs::path& to, bool executable) {
    make_directories(to.parent_path());
    auto content = read_file(from);
    if (!content) throw Error(fmt::format("cannot read the stored file {}", from.string()));
    // 0666 less the umask, as git makes files: the tree is the user's to work in.
    Fd file(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, executable ? 0777 : 0666));
    if (!file || !write_all(file.get(), *content)) throw_errno("write " + to.string(), errno);
}

void restore_untracked(const json& code, const fs::path& run_dir, const fs::path& target) {
    std::map<std::string, bool> executable;
    for (const auto& file : code.value("untracked", json::array())) {
        const std::string path = text_of(file, "path");
        if (leaves(path)) continue;
        if (const std::string link = text_of(file, "link"); !link.empty()) {
            make_directories((target / path).parent_path());
            std::error_code failure;
            fs::create_symlink(link, target / path, failure);
            if (failure) throw Error(fmt::format("cannot make the link {}: {}", path, failure.message()));
        }
        executable[path] = file.value("executable", false);
    }
    const fs::path stored = run_dir / "code" / "untracked";
    std::error_code none;
    for (const auto& entry : fs::recursive_directory_iterator(stored, none)) {
        if (!entry.is_regular_file()) continue;
        // Its real name: the record's is made valid UTF-8.
        const fs::path name = entry.path().lexically_relative(stored);
        auto found = executable.find(valid_utf8(name.string()));
        copy_untracked(entry.path(), target / name, found != executable.end() && found->second);
    }
}

} // namespace

void check_rebuildable(const json& run, const fs::path& run_dir) {
    const json& code = code_of(run);
    if (!code.is_object()) throw Error("no code was captured with this run: it was not in a git repository");
    const fs::path root = text_of(code, "root");
    std::error_code failure;
    if (!fs::is_directory(root, failure)) throw Error(fmt::format("its repository {} is gone", root.string()));
    const std::string commit = text_of(code, "commit");
    if (!commit.empty())
        if (run_command({"git", "-c", "safe.directory=*", "cat-file", "-e", commit + "^{commit}"}, root).exit_code != 0)
            throw Error(fmt::format("its commit {} is not in {} any more", commit.substr(0, 12), root.string()),
                        "git fetch may bring it back");
    const json diff = code.value("diff", json());
    if (diff.is_object() && (diff.contains("skipped") || !read_file(run_dir / "code" / "diff.patch")))
        throw Error("its uncommitted changes were not kept: " +
                    (diff.contains("skipped") ? text_of(diff, "skipped") : "code/diff.patch is gone"));
    if (code.contains("untracked_omitted"))
        throw Error("not all of its untracked files were kept: there were too many");
    for (const auto& file : code.value("untracked", json::array())) {
        if (file.value("stored", false) || !text_of(file, "link").empty()) continue;
        throw Error(fmt::format("its untracked file {} was not kept: larger than the setting capture.untracked_limit",
                                text_of(file, "path")),
                    "commit it, or raise the limit for later runs");
    }
}

void rebuild_code(const json& run, const fs::path& run_dir, const fs::path& target) {
    const json& code = code_of(run);
    const fs::path root = text_of(code, "root");
    const std::string commit = text_of(code, "commit");
    Words outside; // where there is no commit, git is not to find the repository around the store
    if (!commit.empty()) {
        git(root, {"worktree", "add", "--quiet", "--detach", target.string(), commit}, "add a worktree");
    } else {
        make_directories(target);
        outside = {"GIT_CEILING_DIRECTORIES=" + target.parent_path().string()};
    }
    const fs::path patch = run_dir / "code" / "diff.patch";
    if (code.value("diff", json()).is_object())
        git(target, {"apply", "--binary", "--whitespace=nowarn", patch.string()}, "apply the changes", outside);
    restore_untracked(code, run_dir, target);
}

fs::path repository_of(const fs::path& worktree) {
    const std::string link = read_file(worktree / ".git").value_or("");
    const auto at = link.find("/worktrees/");
    return link.starts_with("gitdir: ") && at != std::string::npos ? link.substr(8, at - 8) : "";
}

void forget_worktrees(const fs::path& repository) {
    if (!repository.empty())
        run_command({"git", "--git-dir", repository.string(), "worktree", "prune", "--expire", "now"}, "/");
}

} // namespace poster
