// The state of the code: commit, branch, remotes, the diff against the commit and the untracked files — enough to build
// the working tree again. Content that several runs share is stored once.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <nlohmann/json.hpp>

#include <files.hpp>
#include <objects.hpp>
#include <poster/callback.hpp>
#include <redact.hpp>
#include <sha256.hpp>
#include <subprocess.hpp>
#include <text.hpp>

namespace poster {

namespace {

using nlohmann::json;

bool inside_repository(const fs::path& cwd) {
    struct stat info{};
    for (fs::path dir = cwd; !dir.empty(); dir = dir.parent_path()) {
        if (::stat((dir / ".git").c_str(), &info) == 0) return true;
        if (dir == dir.root_path()) break;
    }
    return false;
}

// Reads a repository without changing it: no lock, no refreshed index, no hook, no pager.
class Git {
public:
    explicit Git(fs::path dir) : dir_(std::move(dir)) {}

    std::optional<std::string> ask(std::vector<std::string> words) const {
        std::vector<std::string> argv{"git", "--no-optional-locks", "-c", "safe.directory=*",
                                      "-c",  "core.fsmonitor=false"};
        argv.insert(argv.end(), words.begin(), words.end());
        CommandResult result = run_command(argv, dir_, {}, {"GIT_TERMINAL_PROMPT=0"});
        if (result.exit_code != 0 || result.truncated) return std::nullopt;
        return std::move(result.output);
    }

    std::string line(std::vector<std::string> words) const {
        std::string text = ask(std::move(words)).value_or("");
        while (!text.empty() && text.back() == '\n') text.pop_back();
        return text;
    }

private:
    fs::path dir_;
};

constexpr std::size_t kMostListed = 10'000; // a data set that is not ignored must not swell run.json

// "https://user:token@host/x" → "https://host/x": with HTTP a user name alone may be the token. ssh needs its login.
std::string without_login(const std::string& url) {
    auto scheme = url.find("://");
    if (scheme == std::string::npos || !url.starts_with("http")) return url;
    auto begin = scheme + 3;
    auto at = url.substr(0, std::min(url.find('/', begin), url.size())).rfind('@');
    return at == std::string::npos || at < begin ? url : url.substr(0, begin) + url.substr(at + 1);
}

// nullopt: not a regular file (any more), unreadable, or longer than `most`, as a log that grows under our eyes may be.
std::optional<std::string> read_regular(const fs::path& path, std::uint64_t most) {
    Fd file{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    std::string content;
    std::array<char, 64UL * 1024> buffer;
    for (;;) {
        ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::nullopt;
        if (got == 0) return content;
        content.append(buffer.data(), static_cast<std::size_t>(got));
        if (content.size() > most) return std::nullopt;
    }
}

bool stays_inside(const fs::path& relative) {
    if (relative.empty() || relative.is_absolute()) return false;
    for (const auto& part : relative)
        if (part == "..") return false;
    return true;
}

class Code : public Callback {
public:
    explicit Code(const Settings& settings)
        : limit_(static_cast<std::uint64_t>(settings.integer("capture.untracked_limit"))),
          redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    void on_start(const Run& run) override {
        if (!inside_repository(run.spec.cwd)) return;
        std::string root = Git(run.spec.cwd).line({"rev-parse", "--show-toplevel"});
        if (root.empty()) return;
        Git git(root);
        json code{{"root", root}, {"subdirectory", subdirectory(run.spec.cwd)}};
        std::string commit = git.line({"rev-parse", "--verify", "--quiet", "HEAD"});
        code["commit"] = commit.empty() ? json(nullptr) : json(commit);
        std::string branch = git.line({"symbolic-ref", "--quiet", "--short", "HEAD"});
        code["branch"] = branch.empty() ? json(nullptr) : json(branch);
        code["remotes"] = remotes(git);
        make_directories(run.dir / "code");
        bool changed = capture_diff(git, run, !commit.empty(), code);
        capture_untracked(git, run, root, code);
        code["dirty"] = changed || !code["untracked"].empty() || code.contains("untracked_omitted");
        run.record("code", code);
    }

private:
    // Asked of git: the working directory may be reached through a link, which the root is not.
    static std::string subdirectory(const fs::path& cwd) {
        std::string prefix = Git(cwd).line({"rev-parse", "--show-prefix"});
        if (prefix.ends_with('/')) prefix.pop_back();
        return prefix.empty() ? "." : prefix;
    }

    json remotes(const Git& git) const {
        json found = json::object();
        for (const auto& line : split(git.line({"config", "--get-regexp", "^remote\\..*\\.url$"}), '\n')) {
            auto space = line.find(' ');
            if (space == std::string::npos || space < 11) continue;
            found[line.substr(7, space - 11)] =
                redactor_.text(without_login(line.substr(space + 1))); // remote.NAME.url URL
        }
        return found;
    }

    static bool capture_diff(const Git& git, const Run& run, bool has_commit, json& code) {
        // Against the empty tree where nothing has been committed yet; its name depends on the kind of hash.
        std::string base = has_commit ? "HEAD" : git.line({"hash-object", "-t", "tree", "/dev/null"});
        // Prefixes and context are told: by the user's settings the patch might not apply.
        auto diff = git.ask({"diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules",
                             "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", base});
        if (!diff) {
            code["diff"] = {{"skipped", "git could not make it, or it is too large"}};
            return true;
        }
        if (diff->empty()) return false;
        store_object(run.store, *diff, run.dir / "code" / "diff.patch");
        code["diff"] = {{"file", "code/diff.patch"}, {"bytes", diff->size()}, {"sha256", sha256_hex(*diff)}};
        return true;
    }

    void capture_untracked(const Git& git, const Run& run, const fs::path& root, json& code) const {
        code["untracked"] = json::array();
        std::uint64_t total = 0;
        std::size_t omitted = 0;
        auto listing = git.ask({"ls-files", "--others", "--exclude-standard", "-z"});
        if (!listing) code["untracked_omitted"] = nullptr; // too many to be told, or git failed
        for (const auto& name : split(listing.value_or(""), '\0')) {
            fs::path path = root / name;
            if (!stays_inside(name) || path.string().starts_with(run.store.string() + "/")) continue;
            struct stat info{};
            if (::lstat(path.c_str(), &info) != 0) continue;
            if (code["untracked"].size() < kMostListed)
                code["untracked"].push_back(capture_file(run, name, path, info, total));
            else
                ++omitted;
        }
        if (omitted > 0) code["untracked_omitted"] = omitted;
    }

    json capture_file(const Run& run, const fs::path& name, const fs::path& path, const struct stat& info,
                      std::uint64_t& total) const {
        json file{{"path", valid_utf8(name.string())}, {"bytes", info.st_size}, {"stored", false}};
        std::error_code failure;
        if (S_ISLNK(info.st_mode)) {
            file["link"] = valid_utf8(fs::read_symlink(path, failure).string());
            return file;
        }
        if (!S_ISREG(info.st_mode) || total + std::uint64_t(info.st_size) > limit_) return file;
        auto content = read_regular(path, limit_ - total);
        if (!content) return file;
        total += content->size();
        fs::path target = run.dir / "code" / "untracked" / name;
        make_directories(target.parent_path());
        store_object(run.store, *content, target);
        file["sha256"] = sha256_hex(*content);
        file["executable"] = (info.st_mode & S_IXUSR) != 0;
        file["stored"] = true;
        return file;
    }

    std::uint64_t limit_;
    Redactor redactor_;
};

} // namespace

extern const CallbackEntry code_callback;
const CallbackEntry code_callback =
    callback_entry<Code>("code", "the git state: commit, diff, untracked files", {}, [](const Settings&) {
        return Activation{true, "always; captures where the working directory is in a git repository"};
    });

} // namespace poster
