#include "subprocess.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "fd.hpp"

namespace poster {

namespace {

using Clock = std::chrono::steady_clock;

// What posix_spawn needs, released with this object.
class SpawnPlan {
public:
    SpawnPlan(StandardStreams streams, const std::filesystem::path& cwd) {
        ::posix_spawn_file_actions_init(&actions_);
        // First the output: the pipe may itself have number 0 or 2, in a process that was started with those closed.
        set(streams.output, STDOUT_FILENO, O_WRONLY);
        set(streams.input, STDIN_FILENO, O_RDONLY);
        set(streams.error, STDERR_FILENO, O_WRONLY);
        if (!cwd.empty()) ::posix_spawn_file_actions_addchdir_np(&actions_, cwd.c_str());
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_init(&attributes_);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        ::posix_spawnattr_setpgroup(&attributes_, 0);
        ::posix_spawnattr_setflags(&attributes_,
                                   POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;
    ~SpawnPlan() {
        ::posix_spawnattr_destroy(&attributes_);
        ::posix_spawn_file_actions_destroy(&actions_);
    }

    // Out of the caller's session; its errors go where its output goes.
    void detach(int output) {
        ::posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    }

    const posix_spawn_file_actions_t* actions() const { return &actions_; }
    const posix_spawnattr_t* attributes() const { return &attributes_; }

private:
    void set(int given, int number, int mode) {
        if (given >= 0)
            ::posix_spawn_file_actions_adddup2(&actions_, given, number);
        else
            ::posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", mode, 0);
    }

    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
    std::vector<char*> pointers;
    pointers.reserve(words.size() + 1);
    for (const auto& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> environment_with(const std::vector<std::string>& changes) {
    const auto same_name = [](std::string_view a, std::string_view b) {
        return a.substr(0, a.find('=')) == b.substr(0, b.find('='));
    };
    std::vector<std::string> environment;
    for (char** entry = environ; entry && *entry; ++entry) {
        const bool changed = std::any_of(changes.begin(), changes.end(),
                                         [&](const std::string& change) { return same_name(change, *entry); });
        if (!changed) environment.emplace_back(*entry);
    }
    environment.insert(environment.end(), changes.begin(), changes.end());
    return environment;
}

// Reads what there is, a pipe full at most: a fast writer must not hide the deadline. False at the end of the output.
bool drain(int fd, CommandResult& result, std::size_t limit) {
    char chunk[64 << 10];
    constexpr int kMostChunks = 17; // the 1 MiB that a pipe can hold, and one
    for (int i = 0; i < kMostChunks; ++i) {
        const ssize_t got = ::read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        const std::size_t room = limit - std::min(limit, result.output.size());
        result.output.append(chunk, std::min(room, std::size_t(got)));
        if (std::size_t(got) > room) result.truncated = true; // read on: the helper ends by itself, its status counts
    }
    return true;
}

// The status once the process has ended.
std::optional<int> reap(pid_t pid, int flags) {
    int status = 0;
    pid_t got;
    do got = ::waitpid(pid, &status, flags);
    while (got < 0 && errno == EINTR);
    if (got == 0) return {};
    if (got < 0) return -1; // ECHILD: reaped by somebody else, or SIGCHLD is ignored
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void collect(pid_t pid, const Fd& output, CommandLimits limits, CommandResult& result) {
    constexpr int kStepMs = 20; // between looks at the process where there is no pidfd
    const Fd process{int(::syscall(SYS_pidfd_open, pid, 0))};
    const auto deadline = Clock::now() + limits.timeout;
    for (bool open = true;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) {
            ::kill(-pid, SIGKILL);
            reap(pid, 0);
            return;
        }
        pollfd sources[2] = {{open ? output.get() : -1, POLLIN, 0}, {process.get(), POLLIN, 0}};
        ::poll(sources, 2, int(process ? std::min<long>(left, 1 << 30) : std::min<long>(left, kStepMs)));
        if (open && sources[0].revents != 0) open = drain(output.get(), result, limits.output_bytes);
        if (const auto code = reap(pid, WNOHANG)) {
            if (open) drain(output.get(), result, limits.output_bytes); // what it wrote last; not what it left behind
            result.exit_code = *code;
            return;
        }
    }
}

bool is_executable_file(const std::filesystem::path& path) {
    struct stat facts{};
    return ::stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

} // namespace

CommandResult run_command(const std::vector<std::string>& argv, const std::filesystem::path& cwd, CommandLimits limits,
                          const std::vector<std::string>& extra_environment) {
    CommandResult result;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return result;
    const Fd output{ends[0]};
    Fd input{ends[1]};
    ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
    const auto pid = start_command(argv, cwd, {-1, input.get(), -1}, extra_environment);
    if (!pid) return result;
    input.close();
    collect(*pid, output, limits, result);
    return result;
}

std::optional<pid_t> start_command(const std::vector<std::string>& argv, const std::filesystem::path& cwd,
                                   StandardStreams streams, const std::vector<std::string>& extra_environment) {
    // Absolute: the search is done here, the execution after the change of directory.
    std::error_code ignored;
    const auto program = argv.empty()
                             ? std::nullopt
                             : find_program(argv.front(), std::filesystem::absolute(cwd.empty() ? "." : cwd, ignored));
    errno = ENOENT;
    if (!program) return {};
    const SpawnPlan plan{streams, cwd};
    const auto environment = environment_with(extra_environment);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program->c_str(), plan.actions(), plan.attributes(), pointers_to(argv).data(),
                                    pointers_to(environment).data());
    if (error == 0) return pid;
    errno = error;
    return {};
}

int spawn_detached(const std::string& program, const std::vector<std::string>& argv, const std::filesystem::path& cwd,
                   const std::filesystem::path& log, const std::vector<std::string>& without) {
    const Fd output{::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!output) return -1;
    std::vector<std::string> environment = environment_with({});
    std::erase_if(environment, [&](const std::string& entry) {
        return std::find(without.begin(), without.end(), entry.substr(0, entry.find('='))) != without.end();
    });
    SpawnPlan plan({-1, output.get(), -1}, cwd);
    plan.detach(output.get());
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program.c_str(), plan.actions(), plan.attributes(), pointers_to(argv).data(),
                                    pointers_to(environment).data());
    errno = error;
    return error == 0 ? pid : -1;
}

std::optional<std::filesystem::path> find_program(const std::string& name, const std::filesystem::path& cwd) {
    if (name.empty()) return {};
    if (name.find('/') != std::string::npos) {
        auto path = name.rfind("./", 0) == 0 ? cwd / name.substr(2) : cwd / name;
        return is_executable_file(path) ? std::optional{std::move(path)} : std::nullopt;
    }
    const char* variable = std::getenv("PATH");
    std::string_view places = variable ? variable : "/bin:/usr/bin";
    for (;;) {
        const std::size_t end = std::min(places.find(':'), places.size());
        auto path = cwd / std::filesystem::path{places.substr(0, end)} / name; // an empty part is cwd
        if (is_executable_file(path)) return path;
        if (end == places.size()) return {};
        places.remove_prefix(end + 1);
    }
}

} // namespace poster
