// `poster gc`: gives back the space of what nothing refers to.

#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <lease.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "gc_delivered.hpp"
#include "reading.hpp"
#include "recover.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;

constexpr auto kUsualAge = Milliseconds(std::chrono::days(7));
constexpr auto kBeingMade = Milliseconds(24h); // a run or an object younger than that may be on its way

Milliseconds age_of(const fs::path& path) {
    struct stat facts{};
    if (::lstat(path.c_str(), &facts) != 0) return 0ms;
    // ctime: a rename into the trash sets it, on the file systems that matter.
    return wall_now() - WallTime(Milliseconds(std::int64_t(facts.st_ctim.tv_sec) * 1000));
}

std::uint64_t size_below(const fs::path& path) {
    std::uint64_t bytes = 0;
    std::error_code failure;
    struct stat facts{};
    for (const auto& entry : fs::recursive_directory_iterator(path, failure))
        // What other runs share stays.
        if (::lstat(entry.path().c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_nlink == 1)
            bytes += std::uint64_t(facts.st_blocks) * 512;
    return bytes;
}

class Collector {
public:
    Collector(const Store& store, bool dry_run) : store_(store), dry_run_(dry_run) {}

    void empty_trash(Milliseconds older) {
        for (const auto& run : entries("trash"))
            if (age_of(run) >= older) remove(run, size_below(run), trashed_);
    }
    // Made by a poster that died before it had written run.json.
    void remove_unborn() {
        for (const auto& run : entries("runs")) {
            std::error_code failure;
            if (!fs::exists(run / "run.json", failure) && !failure && age_of(run) >= kBeingMade)
                remove(run, size_below(run), unborn_);
        }
        // Nor did its fetch come to an end, which the same `poster fetch` would take up.
        for (const auto& run : entries("fetching")) {
            if (age_of(run) >= kBeingMade && !Lease::is_held(run / "lease", "fetch"))
                remove(run, size_below(run), unborn_);
        }
    }
    // Last: what was removed before has let go of its objects.
    void remove_unshared() {
        for (const auto& object : entries("objects")) {
            struct stat facts{};
            if (::lstat(object.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
            const auto made = WallTime(Milliseconds(std::int64_t(facts.st_mtim.tv_sec) * 1000));
            if (facts.st_nlink == 1 && wall_now() - made >= kBeingMade)
                remove(object, std::uint64_t(facts.st_blocks) * 512, objects_);
        }
    }
    std::string report() const {
        return fmt::format("{} {}: {} runs of the trash, {} unfinished directories, {} objects that no run shares",
                           format_bytes(bytes_), dry_run_ ? "could be given back" : "given back", trashed_, unborn_,
                           objects_);
    }

private:
    std::vector<fs::path> entries(const char* folder) const {
        std::vector<fs::path> found;
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(store_.dir() / folder, none)) found.push_back(entry.path());
        return found;
    }

    void remove(const fs::path& path, std::uint64_t bytes, std::size_t& count) {
        std::error_code failure;
        if (!dry_run_) fs::remove_all(path, failure);
        if (failure) return say(fmt::format("cannot remove {}: {}", path.string(), failure.message()));
        bytes_ += bytes;
        ++count;
    }

    const Store& store_;
    bool dry_run_;
    std::uint64_t bytes_ = 0;
    std::size_t trashed_ = 0, unborn_ = 0, objects_ = 0;
};

} // namespace

int collect_garbage(const CollectArguments& arguments) {
    Workspace workspace = open_workspace(arguments.store);
    if (!workspace.store.exists()) throw Error(no_store_message(workspace), "--store DIR names another");
    recover_abandoned_runs(workspace);
    if (arguments.delivered || arguments.remote) return collect_delivered(workspace, arguments);
    Collector collector(workspace.store, arguments.dry_run);
    collector.empty_trash(arguments.older ? parse_duration(*arguments.older).value_or(kUsualAge) : kUsualAge);
    collector.remove_unborn();
    collector.remove_unshared();
    say(collector.report());
    return 0;
}

} // namespace poster
