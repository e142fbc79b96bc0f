#include "rsync.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include <child_process.hpp>
#include <error.hpp>
#include <text.hpp>

namespace poster {

namespace {

namespace fs = std::filesystem;

constexpr int kTurnMs = 100;
constexpr int kFarewellMs = 2000;
constexpr std::size_t kLongestLine = 300;
// Of rsync(1): the two do not understand each other, or there is none at the host.
constexpr int kUsage = 1, kProtocol = 2, kUnsupported = 4, kStream = 12, kCannotRun = 126, kNotFound = 127;

// As rsync splits the words of --rsh: at spaces outside of quotes, of which a doubled one is one.
std::string as_one_word(const std::vector<std::string>& words) {
    std::string line;
    for (const auto& word : words) {
        line += line.empty() ? "'" : " '";
        for (const char c : word) line += c == '\'' ? "''" : std::string(1, c);
        line += "'";
    }
    return line;
}

// "user@::1" has colons of its own.
std::string in_brackets(const std::string& host) {
    const std::size_t at = host.rfind('@');
    const std::size_t begin = at == std::string::npos ? 0 : at + 1;
    if (host.find(':', begin) == std::string::npos) return host;
    return host.substr(0, begin) + "[" + host.substr(begin) + "]";
}

// The links that it follows, by the names that the files are to get; gone with this object.
class Links {
public:
    // To what is open here: the files' own names may stand for something else by now. Throws SystemError.
    Links(fs::path folder, std::span<const RsyncFile> files) : folder_(std::move(folder)) {
        remove();
        check_syscall("make " + folder_.native(), ::mkdir(folder_.c_str(), 0700));
        for (const auto& file : files) {
            const fs::path link = folder_ / file.name;
            const std::string open = fmt::format("/proc/{}/fd/{}", ::getpid(), file.local);
            check_syscall("make " + link.native(), ::symlink(open.c_str(), link.c_str()));
            paths_.push_back(link.native());
        }
    }
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;
    ~Links() { remove(); }

    const std::vector<std::string>& paths() const { return paths_; }

private:
    void remove() const {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    fs::path folder_;
    std::vector<std::string> paths_;
};

// Never by size and time alone; in place, which keeps what a broken transfer has brought. The folder is no part of a
// path that rsync takes for a pattern, or makes anew where it is a link.
std::vector<std::string> command_for(const std::vector<std::string>& ssh, const std::string& host,
                                     const std::string& folder, const std::vector<std::string>& paths) {
    std::vector<std::string> words{"rsync",
                                   "--copy-links",
                                   "--inplace",
                                   "--ignore-times",
                                   "--info=progress2,name0",
                                   "--no-human-readable",
                                   "--rsh=" + as_one_word(ssh),
                                   "--rsync-path=cd " + shell_quote(folder) + " && rsync",
                                   "--"};
    words.insert(words.end(), paths.begin(), paths.end());
    words.push_back(in_brackets(host) + ":./");
    return words;
}

// Gives what is moved of all files together to one after the other.
class Share {
public:
    Share(std::span<const RsyncFile> files, const std::function<void(std::size_t, std::uint64_t)>& moved)
        : files_(files), moved_(moved) {}

    // `printed`: "    32768   3%    1.10MB/s    0:00:01", the next one behind a carriage return. What is read is cut
    // off.
    void take(std::string& printed) {
        const std::size_t end = printed.find_last_of("\r\n");
        if (end == std::string::npos) return;
        const std::size_t before = end == 0 ? std::string::npos : printed.find_last_of("\r\n", end - 1);
        const std::size_t begin = before == std::string::npos ? 0 : before + 1;
        reach(std::strtoull(printed.c_str() + begin, nullptr, 10));
        printed.erase(0, end + 1);
    }

    void reach(std::uint64_t total) {
        for (; next_ < files_.size() && told_ < total; ++next_, in_file_ = 0) {
            const std::uint64_t more = std::min(total - told_, files_[next_].bytes - in_file_);
            moved_(next_, more);
            told_ += more;
            in_file_ += more;
            if (in_file_ < files_[next_].bytes) break;
        }
    }

private:
    std::span<const RsyncFile> files_;
    const std::function<void(std::size_t, std::uint64_t)>& moved_;
    std::size_t next_ = 0;
    std::uint64_t told_ = 0, in_file_ = 0;
};

// The first line that is rsync's and tells more than that it ended; else the first of all.
std::string complaint(const std::string& errors, int code) {
    std::string first;
    for (const auto& line : split(errors, '\n')) {
        const bool is_its = line.find("rsync") != std::string::npos && !line.starts_with("rsync error:");
        if (is_its) return in_a_line(line, kLongestLine);
        if (first.empty()) first = in_a_line(line, kLongestLine);
    }
    return !first.empty() ? first : fmt::format("rsync ended with {}", code);
}

bool is_of_no_use(int code, const std::string& errors) {
    for (const int it : {kUsage, kProtocol, kUnsupported, kCannotRun, kNotFound})
        if (code == it) return true;
    return code == kStream && errors.find("not found") != std::string::npos;
}

} // namespace

Rsync::Rsync(SshClient& client, std::string host, std::function<void()> check)
    : client_(client), host_(std::move(host)), check_(std::move(check)) {}

std::string Rsync::bring(std::span<const RsyncFile> files, const std::string& folder,
                         const std::function<void(std::size_t, std::uint64_t)>& moved) {
    const Links links(client_.folder() / "rsync", files);
    ChildProcess program(command_for(client_.command(), host_, folder, links.paths()));
    Outgoing nothing;
    Share share(files, moved);
    std::string printed;
    for (bool open = true; open;) {
        check_();
        open = program.exchange(nothing, printed, kTurnMs);
        share.take(printed);
    }
    const int code = program.finish(kFarewellMs);
    if (is_of_no_use(code, program.errors()))
        throw Error(host_ + ": rsync does not work with this host: " + complaint(program.errors(), code),
                    "it has to be installed there as well, and the account needs a shell; or set scp.method to sftp");
    if (code != 0) return complaint(program.errors(), code);
    std::uint64_t all = 0;
    for (const auto& file : files) all += file.bytes;
    share.reach(all);
    return {};
}

} // namespace poster
