#pragma once
// Runs a helper program (git, python) and collects its output. Safe in a process with threads.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace poster {

struct CommandResult {
    int exit_code = -1; // -1: could not start, timed out or died of a signal
    std::string output; // stdout; stderr goes to /dev/null
    bool truncated = false;
};

struct CommandLimits {
    std::chrono::milliseconds timeout{30'000};
    std::size_t output_bytes = 64 << 20;
};

// stdin is /dev/null, in its own process group, all signals at their defaults, killed at the timeout.
CommandResult run_command(const std::vector<std::string>& argv, const std::filesystem::path& cwd,
                          CommandLimits limits = {}, const std::vector<std::string>& extra_environment = {});

// Starts a program that goes on by itself: a session of its own, no terminal, both its streams appended to `log`
// (0600). `without`: names of variables that it does not get. Its pid, to be reaped some time; -1 with errno set.
int spawn_detached(const std::string& program, const std::vector<std::string>& argv, const std::filesystem::path& cwd,
                   const std::filesystem::path& log, const std::vector<std::string>& without);

// Its descriptors 0, 1 and 2; -1: /dev/null.
struct StandardStreams {
    int input = -1, output = -1, error = -1;
};

// Only starts it, in its own process group, all signals at their defaults. nullopt: it could not be; errno says why,
// ENOENT that there is no such program.
std::optional<pid_t> start_command(const std::vector<std::string>& argv, const std::filesystem::path& cwd,
                                   StandardStreams streams, const std::vector<std::string>& extra_environment = {});

std::optional<std::filesystem::path> find_program(const std::string& name,
                                                  const std::filesystem::path& cwd); // as execvp would

} // namespace poster
