#include "background_sync.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <outbox.hpp>
#include <records.hpp>
#include <subprocess.hpp>

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

// Where nobody has noted anything for so long, nobody is trying.
constexpr Milliseconds kUntried = 15min;
constexpr Milliseconds kUnhurried = 60s;

// True where what a job leaves behind is ended with it.
bool ends_with_its_job() {
    constexpr const char* kSigns[] = {"SLURM_JOB_ID",           "PBS_JOBID", "LSB_JOBID",
                                      "COBALT_JOBID",           "PJM_JOBID", "FLUX_JOB_ID",
                                      "KUBERNETES_SERVICE_HOST"};
    const auto is_set = [](const char* name) { return std::getenv(name) != nullptr; };
    return ::getppid() == 1 || // the supervisor is its container's first process
           std::any_of(std::begin(kSigns), std::end(kSigns), is_set) ||
           (is_set("SGE_ROOT") && is_set("JOB_ID")); // the first is set in every shell of such a site
}

std::size_t count_at(const json& note, const char* key) {
    const auto found = note.find(key);
    return found != note.end() && found->is_number_unsigned() ? found->get<std::size_t>() : 0;
}

} // namespace

Milliseconds patience_at_end(const Settings& settings, std::optional<Milliseconds> grace) {
    if (!settings.text("sync.wait").empty()) return settings.duration("sync.wait");
    if (!ends_with_its_job()) return 0ms;
    return grace ? *grace / 2 : kUnhurried; // whoever sent a signal will not wait much longer than the grace period
}

bool BackgroundSync::wanted() const {
    return workspace_.settings.text("sync.mode") != "manual";
}

bool BackgroundSync::over() {
    if (pid_ < 0) return true;
    const pid_t ended = ::waitpid(pid_, nullptr, WNOHANG);
    if (ended == pid_ || (ended < 0 && errno == ECHILD)) pid_ = -1;
    return pid_ < 0;
}

bool BackgroundSync::start() {
    if (!over()) return false;
    const fs::path outbox = Outbox(workspace_.store.run_dir(runs_.back())).dir();
    std::vector<std::string> words{"poster", "deliver", workspace_.store.dir().native()};
    words.insert(words.end(), runs_.begin(), runs_.end());
    // Nothing that tells whose process it is: it must not be ended, or counted, as one of the run's.
    pid_ = spawn_detached("/proc/self/exe", words, workspace_.cwd, outbox / "sync.log",
                          {"POSTER_RUN_ID", "POSTER_RUN_DIR", "POSTER_ATTEMPT"});
    return true;
}

bool BackgroundSync::start_last() {
    std::erase_if(runs_, [&](const std::string& id) { return !Outbox(workspace_.store.run_dir(id)).exists(); });
    // The last records have been written since anybody looked.
    for (const auto& id : runs_) workspace_.store.mark_pending(id);
    if (runs_.empty() || !wanted()) return false;
    over();
    pid_ = -1; // one that is under way may have looked through the run already: another comes after it
    return start();
}

Fd BackgroundSync::process() const {
    return Fd(pid_ < 0 ? -1 : int(::syscall(SYS_pidfd_open, pid_, 0)));
}

void queue_delivery(const Store& store, const std::string& run, const OutboxEntry& entry) {
    Outbox(store.run_dir(run)).queue(entry);
    store.mark_pending(run);
}

UndeliveredRuns::UndeliveredRuns(const Store& store) {
    for (const auto& id : store.pending_runs()) {
        const json note = read_json(store.pending_file(id)).value_or(json::object());
        const auto messages = count_at(note, "messages"), files = count_at(note, "files");
        std::string words;
        if (messages > 0) words = fmt::format("{} message{}", messages, messages == 1 ? "" : "s");
        if (files > 0) words += fmt::format("{}{} file{}", words.empty() ? "" : ", ", files, files == 1 ? "" : "s");
        words_[id] = words.empty() ? "soon" : words;
    }
}

std::string UndeliveredRuns::words_of(const std::string& run) const {
    const auto found = words_.find(run);
    return found == words_.end() ? "" : found->second;
}

void tell_undelivered(const Store& store) {
    const auto untold = store.untold_runs();
    if (untold.empty()) return;
    const auto active = store.active_runs();
    std::size_t runs = 0, messages = 0, files = 0;
    std::string why;
    for (const auto& id : untold) {
        if (std::binary_search(active.begin(), active.end(), id)) continue;
        std::error_code gone;
        const auto age = fs::file_time_type::clock::now() - fs::last_write_time(store.pending_file(id), gone);
        const json note = read_json(store.pending_file(id)).value_or(json::object());
        const std::string reason = text_of(note, "why");
        if (!gone && reason.empty() && age < kUntried) continue; // somebody is at it, or will be
        if (!store.take_untold(id) || gone) continue;
        ++runs;
        messages += count_at(note, "messages");
        files += count_at(note, "files");
        if (!reason.empty()) why = reason;
    }
    if (runs == 0) return;
    say(fmt::format("{} {} not delivered yet ({} messages, {} files){}; `poster sync` tries again, `poster sync "
                    "--dry-run` lists them",
                    runs, runs == 1 ? "run is" : "runs are", messages, files, why.empty() ? "" : ": " + why));
}

} // namespace poster
