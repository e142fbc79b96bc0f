#include "gc_delivered.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <evict.hpp>
#include <run_id.hpp>
#include <text.hpp>

#include "reading.hpp"
#include "table.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;

constexpr auto kBrokenOff = Milliseconds(24h); // a younger upload may be on its way
constexpr std::size_t kMostTold = 20;          // of the files of a run that stay

std::string count(std::size_t number, const char* word) {
    return fmt::format("{} {}{}", number, word, number == 1 ? "" : "s");
}

class Retention {
public:
    Retention(const Workspace& workspace, const CollectArguments& arguments)
        : store_(workspace.store), settings_(workspace.settings),
          places_(places_of(workspace.settings, arguments.from)) {
        rules_.older = arguments.older ? parse_duration(*arguments.older).value_or(0ms) : 0ms;
        rules_.larger = arguments.larger;
        rules_.dry_run = !arguments.yes;
        rules_.jobs = int(std::max(1L, workspace.settings.integer("sync.jobs")));
    }

    void evict_all() {
        for (const auto& id : ended_runs())
            for (const auto& place : places_) evict_run(id, place);
        const std::string what =
            fmt::format("{} in {} of {}", format_bytes(bytes_), count(files_, "file"), count(runs_, "run"));
        say(rules_.dry_run ? fmt::format("{} could be deleted here, as copies of them have just been verified{}", what,
                                         files_ > 0 ? "; --yes does it" : "")
                           : fmt::format("{} deleted here; `poster fetch` brings them back", what));
    }

    void remove_leftovers(const std::optional<std::string>& older) {
        const Milliseconds age = older ? parse_duration(*older).value_or(kBrokenOff) : kBrokenOff;
        for (const auto& place : places_) {
            try {
                const std::size_t removed = place.remote->remove_leftovers(age, rules_.dry_run);
                say(fmt::format("{} of broken uploads {} at {}", count(removed, "remnant"),
                                rules_.dry_run ? "could be removed" : "removed", place.destination));
            } catch (const Error& error) {
                complain(error);
                all_well_ = false;
            }
        }
    }

    bool all_well() const { return all_well_; }

private:
    std::vector<std::string> ended_runs() const {
        std::vector<std::string> ids;
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(store_.runs(), none)) {
            const std::string id = entry.path().filename().native();
            if (is_run_id(id) && store_.has_ended(id)) ids.push_back(id);
        }
        std::sort(ids.begin(), ids.end());
        return ids;
    }

    void evict_run(const std::string& id, const Place& place) {
        try {
            const Evictions done = evict(store_, id, settings_, place, rules_);
            if (done.files > 0) {
                ++runs_;
                say(fmt::format("run {}: {} in {} at {}", id, format_bytes(done.bytes), count(done.files, "file"),
                                place.destination));
            }
            files_ += done.files;
            bytes_ += done.bytes;
            std::size_t told = 0;
            for (const auto& [path, why] : done.kept) {
                all_well_ = false;
                if (++told > kMostTold) continue;
                say(fmt::format("run {}: {} is kept: {}", id, printable(path), printable(why.error)));
            }
            if (told > kMostTold) say(fmt::format("run {}: and {} more are kept", id, told - kMostTold));
        } catch (const Error& error) {
            complain(error);
            all_well_ = false;
        }
    }

    const Store& store_;
    const Settings& settings_;
    std::vector<Place> places_;
    EvictionRules rules_;
    std::uint64_t bytes_ = 0;
    std::size_t files_ = 0, runs_ = 0;
    bool all_well_ = true;
};

} // namespace

int collect_delivered(const Workspace& workspace, const CollectArguments& arguments) {
    Retention retention(workspace, arguments);
    if (arguments.delivered) retention.evict_all();
    retention.remove_leftovers(arguments.delivered ? std::nullopt : arguments.older);
    return retention.all_well() ? 0 : 1;
}

} // namespace poster
