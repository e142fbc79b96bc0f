#include <fmt/format.h>

#include <csignal>

#include "clock.hpp"
#include "records.hpp"
#include "text.hpp"

namespace poster {

namespace {

// "1h 0m" is a measured duration, "1h" a chosen limit.
std::string limit_words(Milliseconds limit) {
    std::string words = format_duration(limit);
    for (const std::string_view zero : {" 0s", " 0m", " 0h"}) {
        if (words.size() > zero.size() && words.compare(words.size() - zero.size(), zero.size(), zero) == 0) {
            words.erase(words.size() - zero.size());
        }
    }
    if (const auto zero = words.find(".0s"); zero != std::string::npos) words.erase(zero, 2);
    return words;
}

// "/usr/sbin/slurmstepd: [812.batch]" is slurmstepd; of poster's own commands the subcommand matters too.
std::string program_of(const std::string& command) {
    const auto words = split(command, ' ');
    if (words.empty()) return {};
    std::string name = words[0].substr(words[0].rfind('/') + 1);
    if (!name.empty() && name.back() == ':') name.pop_back();
    if (!name.empty() && name.front() == '-') name.erase(0, 1); // a login shell
    if (name == "poster" && words.size() > 1) name += " " + words[1];
    return name;
}

std::string sender_words(const std::optional<Sender>& sender) {
    if (!sender) return {};
    if (sender->pid == 0) return fmt::format(" from outside this container (uid {})", sender->uid);
    const std::string name = program_of(sender->command);
    if (name.empty()) return fmt::format(" from pid {}, uid {},", sender->pid, sender->uid);
    return fmt::format(" from {} (pid {}, uid {})", name, sender->pid, sender->uid);
}

// What poster was sent, and how the child ended then.
std::string received_words(const Outcome& outcome, int received, const std::string& after) {
    if (!outcome.sender && (received == SIGINT || received == SIGQUIT)) {
        const char* key = received == SIGINT ? "Ctrl-C" : "Ctrl-\\";
        if (outcome.exit_code)
            return fmt::format("interrupted by {}, exit code {}, {}", key, *outcome.exit_code, after);
        return fmt::format("interrupted by {} {}", key, after);
    }
    const std::string source = signal_name(received) + sender_words(outcome.sender);
    const char* comma = source.back() == ',' ? "" : ",";
    if (outcome.exit_code)
        return fmt::format("ended by {}{} exit code {}, {}", source, comma, *outcome.exit_code, after);
    if (outcome.signal && *outcome.signal == SIGKILL && received != SIGKILL) {
        return fmt::format("killed by {} {} (SIGKILL at the end of the grace period)", source, after);
    }
    if (outcome.signal && *outcome.signal != received) {
        return fmt::format("ended by {}{} then killed by {}, {}", source, comma, signal_name(*outcome.signal), after);
    }
    return fmt::format("killed by {} {}", source, after);
}

std::string out_of_memory_words(const Outcome& outcome, const std::string& after) {
    if (!outcome.exit_code) return "killed by the kernel: out of memory " + after;
    return fmt::format("failed with exit code {} {}: the kernel killed a process, out of memory", *outcome.exit_code,
                       after);
}

} // namespace

std::string describe(const Outcome& outcome, std::optional<Milliseconds> time_limit) {
    const std::string after = "after " + format_duration(outcome.duration);
    switch (outcome.status) {
    case Status::queued: return "not started yet";
    case Status::running: return "running";
    case Status::lost: return "lost: poster was killed, or the machine went down, before the end could be recorded";
    case Status::timeout:
        return time_limit ? fmt::format("time limit of {} reached {}", limit_words(*time_limit), after)
                          : "time limit reached " + after;
    case Status::preempted:
        if (!outcome.received_signal) return "preempted " + after;
        return fmt::format("preempted by {}{} {}", signal_name(*outcome.received_signal), sender_words(outcome.sender),
                           after);
    case Status::finished:
    case Status::failed:
    case Status::killed: break;
    }
    if (outcome.out_of_memory && outcome.exit_code.value_or(1) != 0) return out_of_memory_words(outcome, after);
    if (outcome.received_signal) return received_words(outcome, *outcome.received_signal, after);
    if (outcome.signal) return fmt::format("killed by {} {}", signal_name(*outcome.signal), after);
    if (outcome.exit_code.value_or(0) != 0)
        return fmt::format("failed with exit code {} {}", *outcome.exit_code, after);
    if (outcome.status == Status::finished) return "finished in " + format_duration(outcome.duration);
    return fmt::format("{} {}", to_string(outcome.status), after);
}

} // namespace poster
