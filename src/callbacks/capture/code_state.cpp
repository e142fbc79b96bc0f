#include "code_state.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <nlohmann/json.hpp>

#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>
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

struct Place {
    std::string root;   // empty: no working tree
    std::string prefix; // of the working directory in it, which may be reached through a link
    std::string commit; // empty: none yet
    std::string branch; // empty: detached
};

Place place_of(const fs::path& cwd) {
    constexpr std::string_view kBranches = "refs/heads/";
    const Git git(cwd);
    // In one question, as each costs a process. Where there is no commit git fails. The prefix is an empty line, or
    // ends in a slash: what does not is a path with a newline in it.
    const CommandResult answer =
        git.run({"rev-parse", "--show-toplevel", "--show-prefix", "HEAD", "--symbolic-full-name", "HEAD"});
    if (answer.exit_code < 0) return {}; // there is no git, or it hangs
    auto all = split(answer.exit_code == 0 ? answer.output : "", '\n');
    if (all.size() == 3) all.insert(all.begin() + 1, "");
    if (all.size() == 4 && (all[1].empty() || all[1].ends_with('/')))
        return {all[0], all[1], all[2], all[3].starts_with(kBranches) ? all[3].substr(kBranches.size()) : ""};
    return {git.line({"rev-parse", "--show-toplevel"}), git.line({"rev-parse", "--show-prefix"}),
            git.line({"rev-parse", "--verify", "--quiet", "HEAD"}),
            git.line({"symbolic-ref", "--quiet", "--short", "HEAD"})};
}

std::string subdirectory(std::string prefix) {
    if (prefix.ends_with('/')) prefix.pop_back();
    return prefix.empty() ? "." : prefix;
}

json text_or_null(const std::string& text) {
    return text.empty() ? json(nullptr) : json(text);
}

json remotes(const Git& git, const Redactor& redactor) {
    json found = json::object();
    for (const auto& line : split(git.line({"config", "--get-regexp", "^remote\\..*\\.url$"}), '\n')) {
        auto space = line.find(' ');
        if (space == std::string::npos || space < 11) continue;
        found[line.substr(7, space - 11)] = redactor.text(without_login(line.substr(space + 1))); // remote.NAME.url URL
    }
    return found;
}

bool capture_diff(const Git& git, const CodeCapture& capture, bool has_commit, json& code) {
    // Against the empty tree where nothing has been committed yet; its name depends on the kind of hash.
    std::string base = has_commit ? "HEAD" : git.line({"hash-object", "-t", "tree", "/dev/null"});
    // Prefixes, context and renames are told: by the user's settings the patch might not apply.
    auto diff = git.ask({"diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules",
                         "--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", base});
    if (!diff) {
        code["diff"] = {{"skipped", "git could not make it, or it is too large"}};
        return true;
    }
    if (diff->empty()) return false;
    if (capture.keep) capture.keep("diff.patch", *diff);
    code["diff"] = {{"file", "code/diff.patch"}, {"bytes", diff->size()}, {"sha256", sha256_hex(*diff)}};
    return true;
}

json capture_file(const CodeCapture& capture, const fs::path& name, const fs::path& path, const struct stat& info,
                  std::uint64_t& total) {
    json file{{"path", valid_utf8(name.string())}, {"bytes", info.st_size}, {"stored", false}};
    std::error_code failure;
    if (S_ISLNK(info.st_mode)) {
        file["link"] = valid_utf8(fs::read_symlink(path, failure).string());
        return file;
    }
    if (!S_ISREG(info.st_mode) || total + std::uint64_t(info.st_size) > capture.untracked_limit) return file;
    auto content = read_regular(path, capture.untracked_limit - total);
    if (!content) return file;
    total += content->size();
    if (capture.keep) capture.keep(fs::path("untracked") / name, *content);
    file["sha256"] = sha256_hex(*content);
    file["executable"] = (info.st_mode & S_IXUSR) != 0;
    file["stored"] = true;
    return file;
}

void capture_untracked(const Git& git, const CodeCapture& capture, const fs::path& root, json& code) {
    code["untracked"] = json::array();
    std::uint64_t total = 0;
    std::size_t omitted = 0;
    auto listing = git.ask({"ls-files", "--others", "--exclude-standard", "-z"});
    if (!listing) code["untracked_omitted"] = nullptr; // too many to be told, or git failed
    for (const auto& name : split(listing.value_or(""), '\0')) {
        fs::path path = root / name;
        if (!stays_inside(name) || path.string().starts_with(capture.store.string() + "/")) continue;
        struct stat info{};
        if (::lstat(path.c_str(), &info) != 0) continue;
        if (code["untracked"].size() < kMostListed)
            code["untracked"].push_back(capture_file(capture, name, path, info, total));
        else
            ++omitted;
    }
    if (omitted > 0) code["untracked_omitted"] = omitted;
}

} // namespace

CommandResult Git::run(std::vector<std::string> words) const {
    std::vector<std::string> argv{"git", "--no-optional-locks", "-c", "safe.directory=*", "-c", "core.fsmonitor=false"};
    argv.insert(argv.end(), words.begin(), words.end());
    return run_command(argv, dir_, {}, {"GIT_TERMINAL_PROMPT=0"});
}

std::optional<std::string> Git::ask(std::vector<std::string> words) const {
    CommandResult result = run(std::move(words));
    if (result.exit_code != 0 || result.truncated) return std::nullopt;
    return std::move(result.output);
}

std::string Git::line(std::vector<std::string> words) const {
    std::string text = ask(std::move(words)).value_or("");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

json capture_code(const CodeCapture& capture) {
    if (!inside_repository(capture.cwd)) return {};
    const Place place = place_of(capture.cwd);
    if (place.root.empty()) return {};
    Git git(place.root);
    json code{{"root", place.root},
              {"subdirectory", subdirectory(place.prefix)},
              {"commit", text_or_null(place.commit)},
              {"branch", text_or_null(place.branch)},
              {"remotes", remotes(git, capture.redactor)}};
    bool changed = capture_diff(git, capture, !place.commit.empty(), code);
    capture_untracked(git, capture, place.root, code);
    code["dirty"] = changed || !code["untracked"].empty() || code.contains("untracked_omitted");
    return code;
}

} // namespace poster
