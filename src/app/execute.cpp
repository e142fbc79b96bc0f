#include "execute.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <run_id.hpp>

#include "launch.hpp"

namespace poster {

namespace {

// The process in the background. Until it says that it is ready its stderr is a pipe, from which the one in the
// foreground passes on what goes wrong; a NUL and the ids end it.
class Background {
public:
    // Returns in the background process only.
    Background() {
        std::array<int, 2> ends{};
        check_syscall("make a pipe", ::pipe2(ends.data(), O_CLOEXEC));
        Fd reading(ends[0]);
        Fd writing(ends[1]);
        pid_t child = check_syscall("fork", ::fork());
        if (child != 0) {
            writing.close();
            ::_exit(stay_until_ready(reading.get(), child));
        }
        ::setsid();
        set_to_null({STDIN_FILENO, STDOUT_FILENO});
        ::dup2(writing.get(), STDERR_FILENO);
    }

    static void ready(const std::string& ids) {
        write_all(STDERR_FILENO, std::string(1, '\0') + ids);
        set_to_null({STDERR_FILENO});
    }

private:
    static int stay_until_ready(int pipe, pid_t child) {
        std::string heard;
        std::array<char, 4096> buffer;
        for (;;) {
            ssize_t got = ::read(pipe, buffer.data(), buffer.size());
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            heard.append(buffer.data(), std::size_t(got));
        }
        auto end = heard.find('\0');
        write_all(STDERR_FILENO, heard.substr(0, end));
        if (end != std::string::npos) {
            write_all(STDOUT_FILENO, heard.substr(end + 1));
            return 0;
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : kOwnFailure;
    }
};

} // namespace

void leave_as(const LaunchResult& result) {
    Ending ending;
    ending.exit_code = result.exit_code;
    ending.die_of = result.die_of;
    Supervisor::end(ending);
}

void execute_plans(const Workspace& workspace, std::vector<AttemptPlan> plans, LaunchOptions options, bool detach) {
    std::optional<Background> background;
    if (detach) background.emplace();
    if (plans.size() > 1 || options.retries.most > 0) {
        if (detach) options.ready = Background::ready;
        options.queue = plans.front().spec.group.empty() ? new_run_id(wall_now()) : plans.front().spec.group;
        leave_as(launch_all(workspace, std::move(plans), options));
    }
    Supervisor supervisor;
    AttemptPlan& plan = plans.front();
    if (!options.gpus.empty())
        plan.spec.environment.emplace_back("CUDA_VISIBLE_DEVICES", fmt::format("{}", fmt::join(options.gpus, ",")));
    Announcements words{options.quiet, options.verbose, {}};
    Ending ending = launch(supervisor, workspace, std::move(plan), words, [&](const Run& run) {
        if (detach) Background::ready(run.id + "\n");
    });
    Supervisor::end(ending);
}

} // namespace poster
