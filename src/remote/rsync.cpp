#include "rsync.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

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

// The links that it follows, in the folders that the files have at the host; gone with this object.
class Links {
public:
    // By what is open here: their names may stand for something else by now.
    Links(fs::path folder, std::span<const RsyncFile> files) : folder_(std::move(folder)) {
        for (const auto& file : files) {
            const fs::path link = folder_ / fs::path(file.path).relative_path();
            fs::create_directories(link.parent_path());
            fs::create_symlink(fmt::format("/proc/{}/fd/{}", ::getpid(), file.local), link);
        }
    }
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;
    ~Links() {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

private:
    fs::path folder_;
};

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

// The first line: the others are about the end of it.
std::string complaint(const std::string& errors, int code) {
    for (const auto& line : split(errors, '\n'))
        if (!line.empty() && !line.starts_with("Warning: ")) return in_a_line(line, kLongestLine);
    return code == 0 ? "" : fmt::format("rsync ended with {}", code);
}

bool is_of_no_use(int code, const std::string& errors) {
    for (const int it : {kUsage, kProtocol, kUnsupported, kCannotRun, kNotFound})
        if (code == it) return true;
    return code == kStream && errors.find("not found") != std::string::npos;
}

} // namespace

Rsync::Rsync(std::vector<std::string> ssh, std::string host, fs::path folder, std::function<void()> check)
    : ssh_(std::move(ssh)), host_(std::move(host)), folder_(std::move(folder)), check_(std::move(check)) {}

// Never by size and time alone, in place, which keeps what a broken transfer has brought; attributes stay as they are.
std::vector<std::string> Rsync::command(const std::string& root) const {
    return {"rsync",
            "--recursive",
            "--copy-links",
            "--inplace",
            "--ignore-times",
            "--omit-dir-times",
            "--secluded-args",
            "--no-inc-recursive",
            "--info=progress2,name0",
            "--no-human-readable",
            "--rsh=" + as_one_word(ssh_),
            "--",
            folder_.native() + "/",
            in_brackets(host_) + ":" + (root.ends_with('/') ? root : root + "/")};
}

std::string Rsync::bring(std::span<const RsyncFile> files, const std::string& root,
                         const std::function<void(std::size_t, std::uint64_t)>& moved) {
    const Links links(folder_, files);
    ChildProcess program(command(root));
    Outgoing nothing;
    Share share(files, moved);
    std::string printed;
    for (bool open = true; open;) {
        check_();
        open = program.exchange(nothing, printed, kTurnMs);
        share.take(printed);
    }
    const int code = program.finish(kFarewellMs);
    std::string line = complaint(program.errors(), code);
    if (is_of_no_use(code, program.errors()))
        throw Error(host_ + ": rsync does not work with this host: " + line,
                    "it has to be installed there as well, and the account needs a shell; or set scp.method to sftp");
    if (code != 0) return line;
    std::uint64_t all = 0;
    for (const auto& file : files) all += file.bytes;
    share.reach(all);
    return {};
}

} // namespace poster
