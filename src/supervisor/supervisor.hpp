#pragma once
// Holds one child: descriptors, pty, signals, timers, waiting, the outcome. One thread, no network, no database, no
// callback. decide.hpp holds the decisions, this the deeds; docs/architecture.md tells the whole.

#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fd.hpp>
#include <poster/run.hpp>

namespace poster {

struct SharedPage;

struct SupervisedRun {
    RunSpec spec;                      // what to execute; a prepare hook may still change it
    std::filesystem::path attempt_dir; // output.log and output.idx are written here
    // The first is POSTER_RUN_ID, by which a process of this run is known.
    // For the child, on top of the spec's: NAME=VALUE, NAME where it is to be unset, NAME+=VALUE for one more element
    // at the end of a colon-separated list.
    std::vector<std::string> environment;
    bool prepares = false; // wait for the host's prepare hooks before the child is started
    // Called in a freshly forked process with its end of the link; returns the exit status of that process.
    std::function<int(Fd link, int sealed_spec, SharedPage* page)> host;
    std::vector<int> host_keeps;                                // descriptors the host needs: the lock
    std::function<RunSpec(const std::string& json)> parse_spec; // of the sealed spec
    std::function<void(pid_t child)> child_started;             // for the record
    // Completes the outcome (reason, time), writes attempt.json and returns its content.
    std::function<std::string(Outcome&, int exec_error)> record_outcome;
};

// How poster itself must end.
struct Ending {
    int exit_code = 0;
    std::optional<int> die_of; // re-raise this signal instead
    Outcome outcome;
    std::string own_failure{};    // why poster could not start the child; empty: it could
    bool cursor_mid_line = false; // the child's last byte on poster's stderr was no newline
};

class Supervisor {
public:
    // Blocks the signals and remembers how things were: made first of all, so that no signal is lost from then on.
    // `mask`: what the child is to get, where this process has already blocked more.
    explicit Supervisor(const sigset_t* mask = nullptr);
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    // Throws Error while nothing has been started; from then on it does not throw.
    Ending supervise(const SupervisedRun& run);
    // Ends this process as the child ended.
    [[noreturn]] static void end(const Ending& ending);

private:
    struct Callers;
    std::unique_ptr<Callers> callers_;
};

} // namespace poster
