#pragma once
// Facts about processes and this machine, from /proc.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poster {

// A pid is reused; a pid with its start time (field 22 of /proc/PID/stat, in clock ticks since boot) is not.
struct ProcessIdentity {
    pid_t pid = 0;
    std::uint64_t start_ticks = 0;
};

struct ProcessSample {
    pid_t pid = 0;
    pid_t parent = 0;
    std::uint64_t cpu_ticks = 0; // user + system
    std::uint64_t resident_bytes = 0;
    std::uint64_t read_bytes = 0; // from /proc/PID/io; 0 where it may not be read
    std::uint64_t write_bytes = 0;
};

std::optional<std::uint64_t> start_ticks(pid_t pid); // nullopt: no such process, or a zombie
bool is_alive(ProcessIdentity who);
bool is_stopped(pid_t pid); // by a signal, as after Ctrl-Z
ProcessIdentity self_identity();
std::string boot_id();
std::string host_name();
std::string command_of(pid_t pid);         // its command line, shortened; "" when it is gone
std::vector<pid_t> descendants(pid_t pid); // children, their children …, without itself
// Processes of this user whose environment holds `assignment` ("POSTER_RUN_ID=…"), without the caller.
std::vector<pid_t> processes_with_environment(std::string_view assignment);
bool has_in_environment(pid_t pid, std::string_view assignment); // as it was when the process was executed
bool is_same_program(pid_t pid);                                 // it runs the same file as this process
std::optional<ProcessSample> sample_process(pid_t pid);
// A count that rises when the OOM killer strikes this cgroup (memory.events) or, without one, this machine.
std::uint64_t oom_kill_count();
bool is_ignored(int signal); // by this process
// All descriptors from 3 up but these, also where the kernel has no close_range.
void close_descriptors_except(std::vector<int> kept);
// What ps shows of this process: these words, as far as there is room where its own had been.
void remember_command_line(int argc, char** argv); // by main, once
void show_command_line(const std::vector<std::string>& words);

} // namespace poster
