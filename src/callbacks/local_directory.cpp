// Owns what the run directory holds: its layout at the start, the list of its files with sizes and hashes at the end.

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <files.hpp>
#include <poster/callback.hpp>
#include <sha256.hpp>

namespace poster {

namespace {

using nlohmann::json;

// Written until the very end, or by poster for itself.
bool is_poster_s_own(const std::string& name) {
    static constexpr std::array<std::string_view, 5> kOwn{"run.json", "lock", "heartbeat", "hooks.jsonl", "poster.log"};
    return std::find(kOwn.begin(), kOwn.end(), name) != kOwn.end();
}

std::optional<json> describe_file(const fs::path& path, const fs::path& root, std::uint64_t hash_limit,
                                  Deadline deadline) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || is_poster_s_own(path.filename()))
        return std::nullopt;
    auto changed = WallTime{std::chrono::seconds(info.st_mtim.tv_sec) + Milliseconds(info.st_mtim.tv_nsec / 1'000'000)};
    json file{
        {"path", path.lexically_relative(root).string()}, {"bytes", info.st_size}, {"modified_at", iso8601(changed)}};
    bool hash = static_cast<std::uint64_t>(info.st_size) <= hash_limit &&
                std::chrono::steady_clock::now() + std::chrono::seconds(5) < deadline;
    if (hash)
        if (auto digest = sha256_of_file(path)) file["sha256"] = *digest;
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
    {{"local_directory.hash_limit", OptionType::integer, "100000000",
      "files larger than this are not hashed (bytes)"}},
    [](const Settings&) { return Activation{true, "always"}; });

} // namespace poster
