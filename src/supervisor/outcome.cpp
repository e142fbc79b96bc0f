#include "outcome.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace poster {

namespace {

double seconds(const timeval& time) {
    return double(time.tv_sec) + double(time.tv_usec) / 1e6;
}

// Which signal to poster, if any, this end is due to.
std::optional<Cause> cause_of(const SupervisorState& state) {
    if (state.cause || !state.last_signal || !state.child_status) return state.cause;
    int signal = state.last_signal->signal;
    int status = *state.child_status;
    bool died_of_it = WIFSIGNALED(status) && WTERMSIG(status) == signal;
    bool says_so = WIFEXITED(status) && WEXITSTATUS(status) == 128 + signal;
    return died_of_it || says_so ? state.last_signal : std::nullopt;
}

void judge_child(Outcome& outcome, int status, const Observations& seen, const std::optional<Cause>& cause) {
    if (WIFEXITED(status)) {
        outcome.exit_code = WEXITSTATUS(status);
        outcome.status = *outcome.exit_code == 0 ? Status::finished : Status::failed;
    } else {
        outcome.signal = WTERMSIG(status);
        outcome.status = Status::killed;
        outcome.out_of_memory = *outcome.signal == SIGKILL && !seen.state.tree_killed && seen.oom_killer_struck;
    }
    if (cause) outcome.status = cause->time_limit ? Status::timeout : Status::killed;
}

} // namespace

std::string last_traceback_line(std::string_view text) {
    auto start = text.rfind("Traceback (most recent call last):");
    if (start == std::string_view::npos) return {};
    std::string last;
    while (start < text.size()) {
        auto end = std::min(text.find('\n', start), text.size());
        std::string_view line = text.substr(start, end - start);
        while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        bool is_message = !line.empty() && line.front() != ' ' && !line.starts_with("Traceback ");
        if (is_message && last.empty()) last = line.substr(0, 500);
        start = end + 1;
    }
    return last;
}

Outcome compose_outcome(const Observations& seen) {
    Outcome outcome;
    std::optional<Cause> cause = cause_of(seen.state);
    if (seen.exec_error != 0) {
        outcome.status = Status::failed;
        outcome.exit_code = seen.exec_error == ENOENT ? 127 : 126;
    } else if (seen.state.child_status) {
        judge_child(outcome, *seen.state.child_status, seen, cause);
    } else {
        outcome.status = Status::killed; // before it began
    }
    if (cause && !cause->time_limit) {
        outcome.received_signal = cause->signal;
        if (cause->sender.pid != 0 || !cause->sender.command.empty()) outcome.sender = cause->sender;
    }
    if (outcome.status != Status::finished) outcome.error = last_traceback_line(seen.stderr_tail);
    outcome.duration = std::max(seen.duration, Milliseconds{0});
    outcome.user_seconds = seconds(seen.usage.ru_utime);
    outcome.system_seconds = seconds(seen.usage.ru_stime);
    outcome.peak_memory_bytes =
        std::max<std::uint64_t>(seen.sampled_peak_bytes, std::uint64_t(seen.usage.ru_maxrss) * 1024);
    outcome.left_behind = seen.left_behind;
    outcome.log_truncated = seen.log_truncated;
    return outcome;
}

} // namespace poster
