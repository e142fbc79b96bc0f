#include "spawn.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <error.hpp>
#include <fd.hpp>

namespace poster {

namespace {

struct Failure {
    int error;
    int in_cwd;
};

[[noreturn]] void give_up(int report, int error, bool in_cwd) {
    Failure failure{error, in_cwd ? 1 : 0};
    if (::write(report, &failure, sizeof failure) < 0) ::_exit(125);
    ::_exit(error == ENOENT && in_cwd ? 127 : 126);
}

// A colon-separated list with `last` as its last element, where it is not an element already.
std::string list_with(const std::string& list, const std::string& last) {
    const bool present = (":" + list + ":").find(":" + last + ":") != std::string::npos;
    return present ? list : list + ":" + last;
}

void set_environment(const ChildPlan& plan) {
    for (const auto& [name, value] : plan.spec.environment) ::setenv(name.c_str(), value.c_str(), 1);
    for (const auto& assignment : plan.environment) {
        auto equals = assignment.find('=');
        if (equals == std::string::npos) {
            ::unsetenv(assignment.c_str());
            continue;
        }
        std::string name = assignment.substr(0, equals);
        std::string value = assignment.substr(equals + 1);
        if (name.ends_with('+')) {
            name.pop_back();
            const char* present = ::getenv(name.c_str());
            if (present != nullptr && *present != '\0') value = list_with(present, value);
        }
        ::setenv(name.c_str(), value.c_str(), 1);
    }
}

// After fork: own memory, one thread, all signals still blocked.
[[noreturn]] void become_child(const ChildPlan& plan, pid_t supervisor, int report) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != supervisor) ::_exit(125); // it died before the line above
    if (plan.own_group) ::setpgid(0, 0);
    for (int fd : {1, 2}) {
        int end = plan.output[static_cast<std::size_t>(fd - 1)];
        if (end >= 0) ::dup2(end, fd);
    }
    for (int fd : {0, 1, 2})
        if (plan.closed[static_cast<std::size_t>(fd)]) ::close(fd);
    // An empty one is a working directory that was deleted: the child stays in it as its caller did.
    if (!plan.spec.cwd.empty() && ::chdir(plan.spec.cwd.c_str()) != 0) give_up(report, errno, false);
    set_environment(plan);

    std::vector<char*> argv;
    argv.reserve(plan.spec.argv.size() + 1);
    for (const auto& word : plan.spec.argv) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::sigaction(SIGCHLD, &plan.signals.child, nullptr);
    ::sigaction(SIGPIPE, &plan.signals.pipe, nullptr);
    ::sigaction(SIGXFSZ, &plan.signals.file_size, nullptr);
    ::sigprocmask(SIG_SETMASK, &plan.signals.mask, nullptr);
    ::execvp(argv[0], argv.data());
    give_up(report, errno, true);
}

} // namespace

Spawned spawn_child(const ChildPlan& plan) {
    std::array<int, 2> ends{};
    check_syscall("make a pipe", ::pipe2(ends.data(), O_CLOEXEC));
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    pid_t supervisor = ::getpid();
    Spawned child;
    child.pid = check_syscall("fork", ::fork());
    if (child.pid == 0) become_child(plan, supervisor, writing.get());

    if (plan.own_group) ::setpgid(child.pid, child.pid); // here too: kill(-pid) is valid from the first instant
    writing.close();
    Failure failure{};
    ssize_t n = 0;
    while ((n = ::read(reading.get(), &failure, sizeof failure)) < 0 && errno == EINTR) {
    }
    if (n == sizeof failure) {
        child.exec_error = failure.error;
        child.in_cwd = failure.in_cwd != 0;
    }
    return child;
}

} // namespace poster
