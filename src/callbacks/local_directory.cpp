// Owns what the run directory holds: its layout at the start, the list of its files with sizes and hashes at the end.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <poster/callback.hpp>
#include <sha256.hpp>

namespace poster {

namespace {

using nlohmann::json;

constexpr auto kReserve = std::chrono::seconds(1); // of the time left, for what comes after the hashes

// Written until the very end, or by poster for itself. A program may well store a file of one of these names.
bool is_poster_s_own(const fs::path& relative) {
    static constexpr std::array<std::string_view, 4> kOwn{"lock", "heartbeat", "hooks.jsonl", "poster.log"};
    if (relative == "run.json" || *relative.begin() == "outbox") return true;
    bool of_attempt = *relative.begin() == "attempts" && std::distance(relative.begin(), relative.end()) == 3;
    return of_attempt && std::find(kOwn.begin(), kOwn.end(), relative.filename()) != kOwn.end();
}

// nullopt: unreadable, no regular file any more, or no time left.
std::optional<std::string> hash_until(const fs::path& path, Deadline deadline) {
    Fd file{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    Sha256 hash;
    std::array<char, 64UL * 1024> buffer;
    while (std::chrono::steady_clock::now() + kReserve < deadline) {
        ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::nullopt;
        if (got == 0) return hash.hex();
        hash.update({buffer.data(), static_cast<std::size_t>(got)});
    }
    return std::nullopt;
}

std::optional<json> describe_file(const fs::path& path, const fs::path& root, std::uint64_t hash_limit,
                                  Deadline deadline) {
    struct stat info{};
    fs::path relative = path.lexically_relative(root);
    if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || is_poster_s_own(relative)) return std::nullopt;
    json file{{"path", relative.string()}, {"bytes", info.st_size}, {"modified_at", iso8601(wall_time(info.st_mtim))}};
    if (static_cast<std::uint64_t>(info.st_size) <= hash_limit)
        if (auto digest = hash_until(path, deadline)) file["sha256"] = *digest;
    return file;
}

class LocalDirectory : public Callback {
public:
    explicit LocalDirectory(const Settings& settings)
        : hash_limit_(static_cast<std::uint64_t>(settings.integer("local_directory.hash_limit"))) {}

    void on_end(const Run& run, const Outcome&, Deadline deadline) override {
        std::vector<fs::path> paths;
        std::error_code failure;
        fs::recursive_directory_iterator walk(run.dir, fs::directory_options::skip_permission_denied, failure);
        for (; !failure && walk != fs::recursive_directory_iterator(); walk.increment(failure))
            paths.push_back(walk->path());
        std::sort(paths.begin(), paths.end());
        json files = json::array();
        for (const auto& path : paths)
            if (auto file = describe_file(path, run.dir, hash_limit_, deadline)) files.push_back(std::move(*file));
        run.record("files", files);
    }

private:
    std::uint64_t hash_limit_;
};

} // namespace

extern const CallbackEntry local_directory_callback;
const CallbackEntry local_directory_callback = callback_entry<LocalDirectory>(
    "local_directory", "the layout of the run directory; its files with sizes and hashes",
    {{"local_directory.hash_limit", OptionType::integer, "100000000", "files larger than this are not hashed (bytes)"}},
    [](const Settings&) { return Activation{true, "always"}; });

} // namespace poster
