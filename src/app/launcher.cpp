#include "launcher.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include <callers.hpp>
#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <orders.hpp>
#include <process.hpp>
#include <records.hpp>
#include <text.hpp>

#include "background_sync.hpp"
#include "group_end.hpp"
#include "labelled_output.hpp"
#include "launch.hpp"
#include "queue.hpp"
#include "recover.hpp"
#include "stores.hpp"
#include "table.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kLastWordsTimeout = 1000;
constexpr auto kRedraw = 500ms;
constexpr auto kStartAgain = 1s;
constexpr auto kLookForOutcome = 50ms;
constexpr auto kBeyondGrace = 15s;
constexpr std::size_t kMostRows = 40; // of the table at the end, when all went well

struct Task {
    enum class State { waiting, running, settling, done }; // settling: its poster is gone, its outcome is not there yet
    AttemptPlan plan;
    std::string label;
    State state = State::waiting;
    Clock::time_point ready_at{}; // waiting: not before; settling: not after
    int attempts = 0;
    Status status = Status::queued;
    std::string reason;
    std::optional<double> duration_s;
    int exit_code = 0;
    std::optional<int> died_of;
    bool asked_to_end = false;
    bool failed() const { return state == State::done && (exit_code != 0 || died_of) && status != Status::queued; }
};

struct Job {
    std::size_t task = 0;
    pid_t pid = 0;
    int slot = 0;
};

// What the posters of the runs are told as well; the rest is the terminal's business, or nobody's.
sigset_t relayed_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    std::vector<int> wanted{SIGTERM, SIGINT,    SIGHUP,  SIGQUIT, SIGUSR1, SIGUSR2,
                            SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR};
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) wanted.push_back(signal);
    for (int signal : wanted) {
        // An ignored signal that is blocked would still be queued, and nohup undone.
        if (!is_ignored(signal)) ::sigaddset(&set, signal);
    }
    ::sigaddset(&set, SIGCHLD);
    return set;
}

bool asks_to_end(int signal) {
    return signal == SIGTERM || signal == SIGHUP || signal == SIGINT || signal == SIGQUIT;
}

class Launcher {
public:
    Launcher(const Workspace& workspace, std::vector<AttemptPlan> plans, const LaunchOptions& options)
        : workspace_(workspace), options_(options), callers_descriptors_(open_descriptors()) {
        sigset_t set = relayed_signals();
        check_syscall("block signals", ::sigprocmask(SIG_BLOCK, &set, &callers_mask_));
        signals_ = Fd(check_syscall("open a signal descriptor", ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)));
        for (auto& plan : plans) {
            Task task;
            task.plan = std::move(plan);
            task.plan.has_launcher = true;
            tasks_.push_back(std::move(task));
        }
        slots_.resize(std::size_t(options_.jobs), false);
        parallel_ = options_.jobs > 1 && tasks_.size() > 1;
    }

    LaunchResult run() {
        make_queue();
        if (options_.ready) options_.ready(ids());
        if (parallel_) output_ = std::make_unique<LabelledOutput>();
        read_signals();
        start_due();
        while (!over()) turn();
        if (output_) {
            output_->show_progress("");
            output_->flush(kLastWordsTimeout);
            output_.reset();
        }
        tell_group_end();
        queue_->remove();
        if (tasks_.size() > 1 && !options_.quiet) print_table();
        await_deliveries();
        return result();
    }

private:
    // ---- the queue

    void make_queue() {
        ensure_store(workspace_.store);
        queue_ = std::make_unique<Queue>(workspace_.store, options_.queue);
        for (auto& task : tasks_)
            if (task.plan.id.empty()) task.plan.id = make_queued_run(workspace_, task.plan.spec, *queue_);
        std::size_t width = 0;
        for (auto& task : tasks_) {
            const auto& name = task.plan.spec.name;
            task.label = !name.empty() ? name : task.plan.id.substr(task.plan.id.rfind('-') + 1);
            width = std::max(width, display_width(task.label));
        }
        for (auto& task : tasks_) task.label.append(width - display_width(task.label), ' ').append(" | ");
    }

    std::string ids() const {
        std::string lines;
        for (const auto& task : tasks_) lines += task.plan.id + "\n";
        return lines;
    }

    bool over() const {
        return std::all_of(tasks_.begin(), tasks_.end(), [](const Task& it) { return it.state == Task::State::done; });
    }

    // Those whose turn has not come never get one.
    void cancel_waiting(const std::string& why) {
        for (auto& task : tasks_) {
            if (task.state != Task::State::waiting) continue;
            task.state = Task::State::done;
            if (task.attempts > 0) continue; // it stays as its last attempt ended
            task.reason = "never started: " + why;
            task.status = Status::killed;
            never_started_ = true;
            if (!task.plan.resumed) record_never_started(workspace_.store, task.plan.id, task.status, task.reason);
        }
    }

    // ---- starting

    void start_due() {
        auto now = Clock::now();
        for (std::size_t i = 0; i < tasks_.size() && jobs_.size() < slots_.size(); ++i)
            if (tasks_[i].state == Task::State::waiting && tasks_[i].ready_at <= now) start(i);
    }

    void start(std::size_t number) {
        Task& task = tasks_[number];
        Job job{number, 0, int(std::find(slots_.begin(), slots_.end(), false) - slots_.begin())};
        AttemptPlan plan = task.plan;
        if (!options_.gpus.empty()) plan.spec.environment.emplace_back("CUDA_VISIBLE_DEVICES", gpus_of(job.slot));
        try {
            LabelledOutput::Ends ends;
            if (output_) ends = output_->open(int(number), task.label);
            pid_t launcher = ::getpid();
            job.pid = ::fork();
            if (job.pid == 0) run_task(std::move(plan), number, ends, launcher);
            if (job.pid < 0) throw_errno("fork", errno);
        } catch (const Error& error) {
            return could_not_start(number, error);
        }
        ++task.attempts;
        task.state = Task::State::running;
        slots_[std::size_t(job.slot)] = true;
        jobs_.push_back(job);
    }

    // A limit on processes or descriptors, most likely: what the other runs have is free again when they end.
    void could_not_start(std::size_t number, const Error& error) {
        Task& task = tasks_[number];
        if (output_) output_->end(int(number));
        if (!jobs_.empty()) {
            task.ready_at = Clock::now() + kStartAgain;
            return;
        }
        task.status = Status::failed;
        task.exit_code = kOwnFailure;
        task.reason = fmt::format("poster could not start it: {}", error.what());
        complain(error);
        if (!task.plan.resumed) record_never_started(workspace_.store, task.plan.id, task.status, task.reason);
        finish(task);
    }

    std::string gpus_of(int slot) const {
        std::size_t each = std::max<std::size_t>(1, options_.gpus.size() / slots_.size());
        std::string list;
        for (std::size_t i = std::size_t(slot) * each; i < (std::size_t(slot) + 1) * each; ++i)
            list += (list.empty() ? "" : ",") + options_.gpus[i % options_.gpus.size()];
        return list;
    }

    // In the forked process, which becomes the run's poster.
    [[noreturn]] void run_task(AttemptPlan plan, std::size_t number, const LabelledOutput::Ends& ends,
                               pid_t launcher) const {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != launcher) ::_exit(kOwnFailure);
        if (output_) {
            ::dup2(ends.out.get(), STDOUT_FILENO);
            ::dup2(ends.err_or_out(), STDERR_FILENO);
            set_to_null({STDIN_FILENO});
        }
        close_descriptors_except(callers_descriptors_);
        try {
            Supervisor supervisor(&callers_mask_);
            Announcements words{options_.quiet || output_ != nullptr, options_.verbose, {}};
            if (tasks_.size() > 1) words.label = fmt::format("{}/{} ", number + 1, tasks_.size());
            Ending ending = launch(supervisor, workspace_, std::move(plan), words);
            supervisor.end(ending);
        } catch (const Error& error) {
            complain(error);
        } catch (const std::exception& error) {
            poster::say(std::string("internal error: ") + error.what());
        }
        ::_exit(kOwnFailure);
    }

    // ---- the loop

    void turn() {
        std::vector<pollfd> polled{{signals_.get(), POLLIN, 0}};
        if (output_) output_->add_to(polled);
        ::poll(polled.data(), nfds_t(polled.size()), wait_ms());
        if (output_) output_->pump(polled);
        read_signals();
        settle();
        if (!over()) start_due();
        if (output_) output_->show_progress(progress());
    }

    int wait_ms() const {
        std::optional<Clock::time_point> next;
        if (jobs_.size() < slots_.size())
            for (const auto& task : tasks_)
                if (task.state == Task::State::waiting && (!next || task.ready_at < *next)) next = task.ready_at;
        long wait = output_ ? Milliseconds(kRedraw).count() : -1;
        for (const auto& task : tasks_)
            if (task.state == Task::State::settling) wait = Milliseconds(kLookForOutcome).count();
        if (!next) return int(wait);
        long left = std::max<long>(0, std::chrono::ceil<Milliseconds>(*next - Clock::now()).count());
        return int(wait < 0 ? left : std::min(wait, left));
    }

    void read_signals() {
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
            if (info.ssi_signo == SIGCHLD)
                reap();
            else
                take_signal(info);
        }
    }

    void take_signal(const signalfd_siginfo& info) {
        int signal = int(info.ssi_signo);
        bool typed = info.ssi_code > 0; // the whole foreground group has it
        bool kills = info.ssi_code == SI_QUEUE && info.ssi_int == kKillOrder;
        if (!typed) relay(signal, kills ? kKillOrder : kRelayOrder);
        if (!asks_to_end(signal)) return;
        if (!ended_by_) ended_by_ = signal;
        in_a_hurry_ = over();
        cancel_waiting(typed && signal == SIGINT ? "interrupted by Ctrl-C" : "ended by " + signal_name(signal));
    }

    void relay(int signal, int order) const {
        sigval value{};
        value.sival_int = order;
        for (const auto& job : jobs_) ::sigqueue(job.pid, signal, value);
    }

    void reap() {
        int status = 0;
        pid_t pid = 0;
        while ((pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
            auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& it) { return it.pid == pid; });
            if (job == jobs_.end()) continue;
            if (WIFSTOPPED(status)) {
                stop_with(pid);
                continue;
            }
            Job ended = *job;
            jobs_.erase(job);
            slots_[std::size_t(ended.slot)] = false;
            on_end(ended, status);
        }
    }

    // The shell is to see one job: with the run it shows, this process stops and goes on.
    void stop_with(pid_t pid) const {
        if (output_) return;
        ::raise(SIGSTOP);
        ::kill(pid, SIGCONT);
    }

    // ---- the end of a run

    void on_end(const Job& job, int status) {
        Task& task = tasks_[job.task];
        if (output_) output_->end(int(job.task));
        task.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        task.died_of = WIFSIGNALED(status) ? std::optional(WTERMSIG(status)) : std::nullopt;
        // A poster that was killed has a host that ends the run in its place.
        task.state = Task::State::settling;
        task.ready_at = Clock::now() + (task.died_of ? task.plan.spec.grace + kBeyondGrace : 0s);
        settle();
    }

    void settle() {
        for (auto& task : tasks_) {
            if (task.state != Task::State::settling) continue;
            if (take_outcome(task) || Clock::now() >= task.ready_at)
                finish(task);
            else
                recover_abandoned_runs(workspace_, 0ms); // the host may have been killed, too
        }
    }

    void finish(Task& task) {
        task.state = Task::State::done;
        if (output_ && !options_.quiet)
            output_->say(fmt::format("run {}{} {}", task.plan.id,
                                     task.plan.spec.name.empty() ? "" : " (" + task.plan.spec.name + ")", task.reason));
        if (wants_retry(task)) return retry(task);
        if (options_.fail_fast && task.failed()) {
            cancel_waiting(fmt::format("run {} failed (--fail-fast)", task.plan.id));
            relay(SIGTERM, kRelayOrder);
        }
    }

    // False: there is none yet.
    bool take_outcome(Task& task) const {
        const std::string& id = task.plan.id;
        const fs::path dir = workspace_.store.attempt_dir(id, task.plan.number);
        auto outcome = read_outcome(dir);
        if (!outcome && !task.plan.resumed && !task.died_of) { // it ended before it had an attempt
            record_never_started(workspace_.store, id, Status::failed, "poster could not start it");
            outcome = read_outcome(dir);
        }
        task.status = outcome ? outcome->status : Status::lost;
        task.reason = outcome ? outcome->reason : "poster ended without an outcome";
        if (outcome) task.duration_s = double(outcome->duration.count()) / 1000;
        if (outcome) task.asked_to_end = outcome->received_signal.has_value() && outcome->status != Status::preempted;
        return outcome.has_value();
    }

    bool wants_retry(const Task& task) const {
        const auto& on = options_.retries.on;
        return !ended_by_ && !task.asked_to_end && task.attempts <= options_.retries.most &&
               task.exit_code != kOwnFailure && std::find(on.begin(), on.end(), task.status) != on.end();
    }

    void retry(Task& task) {
        task.state = Task::State::waiting;
        task.ready_at = Clock::now() + options_.retries.backoff;
        ++task.plan.number;
        task.plan.resumed = true;
        if (options_.quiet) return;
        std::string when = options_.retries.backoff.count() > 0
                               ? fmt::format(" in {}", format_duration(options_.retries.backoff))
                               : "";
        say(fmt::format("run {}: attempt {} follows{} (retry {} of {})", task.plan.id, task.plan.number, when,
                        task.attempts, options_.retries.most));
    }

    void say(const std::string& line) {
        if (output_)
            output_->say(line);
        else
            poster::say(line);
    }

    void tell_group_end() const {
        if (group().empty()) return;
        GroupOutcome outcome;
        outcome.started_at = started_at_;
        outcome.duration = wall_now() - started_at_;
        for (const auto& task : tasks_)
            outcome.runs.push_back({task.plan.id, task.plan.spec.name, task.status, task.reason});
        run_group_end_hooks(workspace_, tasks_.back().plan, outcome);
    }

    // Once for all runs. Each has started its own, which this one waits for; a signal ends the waiting, not them.
    void await_deliveries() {
        const auto grace = ended_by_ ? std::optional(tasks_.front().plan.spec.grace) : std::nullopt;
        const auto limit = Clock::now() + patience_at_end(workspace_.settings, grace);
        if (Clock::now() >= limit) return;
        std::vector<std::string> runs;
        for (const auto& task : tasks_)
            if (::access(workspace_.store.pending_file(task.plan.id).c_str(), F_OK) == 0) runs.push_back(task.plan.id);
        BackgroundSync sync(workspace_, std::move(runs));
        try {
            if (!sync.start_last()) return;
        } catch (const Error&) {
            return; // a full disk: `poster sync` delivers what is left
        }
        const Fd process = sync.process();
        while (process && !in_a_hurry_ && Clock::now() < limit) {
            std::array<pollfd, 2> polled{{{process.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
            ::poll(polled.data(), polled.size(), int(std::chrono::ceil<Milliseconds>(limit - Clock::now()).count()));
            if (polled[0].revents != 0) return;
            read_signals();
        }
    }

    // ---- what is shown

    const std::string& group() const { return tasks_.front().plan.spec.group; }

    std::string progress() const {
        std::size_t done = 0, failed = 0, waiting = 0;
        double seconds = 0;
        for (const auto& task : tasks_) {
            if (task.state == Task::State::waiting) ++waiting;
            if (task.state != Task::State::done) continue;
            ++(task.failed() ? failed : done);
            seconds += task.duration_s.value_or(0);
        }
        if (options_.quiet) return {};
        std::string text =
            fmt::format("poster: {} running, {} done, {} failed, {} queued", jobs_.size(), done, failed, waiting);
        if (done + failed == 0 || waiting + jobs_.size() == 0) return text;
        double left = seconds / double(done + failed) * double(waiting + jobs_.size()) / double(slots_.size());
        return text + fmt::format(", about {} left", format_duration(Milliseconds(long(left) * 1000)));
    }

    void print_table() const {
        Table table({{"RUN"}, {"NAME", 6}, {"STATUS"}, {"DURATION"}, {"OUTCOME", 10}, {"COMMAND", 10}});
        Terminal terminal = terminal_on(STDERR_FILENO);
        constexpr std::size_t kPrefix = std::string_view("poster: ").size();
        if (terminal.width && *terminal.width > kPrefix) *terminal.width -= kPrefix;
        const Redactor redactor = redactor_of(workspace_.settings);
        std::size_t good = 0;
        for (const auto& task : tasks_) {
            bool fine = task.status == Status::finished;
            if (fine) ++good;
            if (fine && tasks_.size() > kMostRows) continue;
            std::string duration = task.duration_s ? format_duration(Milliseconds(long(*task.duration_s * 1000))) : "";
            table.add({{task.plan.id, Colour::none},
                       {printable(task.plan.spec.name), Colour::bold},
                       {std::string(to_string(task.status)), colour_of(task.status)},
                       {duration, Colour::none},
                       {printable(task.reason), Colour::none},
                       {printable(shell_join(redactor.arguments(task.plan.spec.argv))), Colour::none}});
        }
        std::string text = good == tasks_.size() && tasks_.size() > kMostRows ? "" : table.render(terminal);
        text += fmt::format("{} of {} runs finished{}\n", good, tasks_.size(),
                            group().empty() ? "" : fmt::format("; poster ls --group {}", group()));
        text.pop_back();
        poster::say(text);
    }

    LaunchResult result() const {
        LaunchResult result;
        for (const auto& task : tasks_) result.runs.push_back(task.plan.id);
        for (const auto& task : tasks_) {
            if (!task.failed()) continue;
            result.exit_code = task.exit_code;
            result.die_of = task.died_of;
            return result;
        }
        if (never_started_) result.exit_code = ended_by_ ? 128 + *ended_by_ : 1;
        if (never_started_) result.die_of = ended_by_;
        return result;
    }

    const Workspace& workspace_;
    const LaunchOptions& options_;
    WallTime started_at_ = wall_now();
    std::vector<int> callers_descriptors_;
    sigset_t callers_mask_{};
    Fd signals_;
    std::unique_ptr<Queue> queue_;
    std::vector<Task> tasks_;
    std::vector<Job> jobs_;
    std::vector<bool> slots_;
    bool parallel_ = false;
    std::unique_ptr<LabelledOutput> output_; // only where runs print at the same time
    std::optional<int> ended_by_;
    bool never_started_ = false, in_a_hurry_ = false;
};

} // namespace

LaunchResult launch_all(const Workspace& workspace, std::vector<AttemptPlan> plans, const LaunchOptions& options) {
    return Launcher(workspace, std::move(plans), options).run();
}

} // namespace poster
