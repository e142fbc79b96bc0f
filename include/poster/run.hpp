#pragma once
// What a run is made of: its spec, its attempts' outcomes, and the view of it that callbacks get.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poster {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using Milliseconds = std::chrono::milliseconds;
using Deadline = std::chrono::steady_clock::time_point;

enum class Status { queued, running, finished, failed, killed, timeout, preempted, lost };

std::string_view to_string(Status status);
std::optional<Status> status_from(std::string_view word);

// What to execute. Sealed once the prepare hooks have run.
struct RunSpec {
    std::vector<std::string> argv;
    std::filesystem::path cwd;
    std::vector<std::pair<std::string, std::string>> environment; // changes to the caller's environment, in order
    std::string name;
    std::vector<std::string> tags;
    std::string note;
    std::string group;                   // shared by the runs of one multirun; empty: none
    std::string parent;                  // id of the run this one repeats; empty: none
    std::optional<Milliseconds> timeout; // time limit of one attempt
    Milliseconds grace{10'000};          // from SIGTERM to SIGKILL
    bool scan_metrics = false;           // read metrics from what it prints, whatever the settings say
};

// Who sent the signal that ended a run, as far as the kernel tells.
struct Sender {
    pid_t pid = 0;
    uid_t uid = 0;
    std::string command; // empty when it was gone before it could be read
};

// How an attempt ended.
struct Outcome {
    Status status = Status::finished;
    std::optional<int> exit_code;
    std::optional<int> signal;          // the one the child died of
    std::optional<int> received_signal; // the one poster was sent, which may differ
    std::optional<Sender> sender;
    std::string reason; // in words: "killed by SIGTERM from slurmstepd (pid 812, uid 0) after 2h 3m"
    std::string error;  // last line of a Python traceback at the end of stderr; empty: none
    bool out_of_memory = false;
    WallTime ended_at{};
    Milliseconds duration{0}; // on the monotonic clock
    double user_seconds = 0;  // CPU time of the child and its waited-for descendants
    double system_seconds = 0;
    std::uint64_t peak_memory_bytes = 0; // of the process tree as sampled, at least that of its largest process
    int left_behind = 0;                 // background processes still running after a normal end
    bool log_truncated = false;          // output.log misses bytes (disk full, directory deleted …)
};

// One remote effect that waits in the run's outbox until `poster sync` carries it out.
struct OutboxEntry {
    std::string key;      // of the effect: however often an entry is queued under it, it comes about once
    std::string callback; // whose deliver() carries it out
    std::string kind;     // the callback's own word: "start", "end" …
    std::string payload;  // the callback's own, JSON as a rule; no secret
    int attempt = 1;      // set by Run::queue
    WallTime queued_at{};
    int tries = 0;             // deliveries begun before this one
    bool perhaps_sent = false; // one of them was cut short, and whether it arrived is not known
};

// One attempt of a run, as callbacks see it. `record`, `replace` and `queue` are safe from any thread.
struct Run {
    std::string id;
    std::filesystem::path dir;   // the run directory
    std::filesystem::path store; // the store it lives in
    int attempt = 1;
    RunSpec spec;
    pid_t child = 0; // 0 before it has started
    WallTime started_at{};
    // Sets one top-level section of run.json, merged into what is there and written with the next atomic rewrite.
    std::function<void(std::string_view section, const nlohmann::json& value)> record;
    // The same in place of what is there.
    std::function<void(std::string_view section, const nlohmann::json& value)> replace;
    // Adds an entry to the outbox. Throws Error when it cannot be written.
    std::function<void(OutboxEntry entry)> queue;
    // Raises the peak memory (bytes, whole tree) that the outcome will report.
    std::function<void(std::uint64_t bytes)> note_peak_memory;
    // When the run is ended, SIGINT comes before SIGTERM from now on, as a library in the child writes its last lines
    // then.
    std::function<void()> interrupt_first;

    std::filesystem::path attempt_dir() const { return dir / "attempts" / std::to_string(attempt); }
};

} // namespace poster
