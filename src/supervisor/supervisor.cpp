#include "supervisor.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include <error.hpp>
#include <files.hpp>
#include <orders.hpp>
#include <process.hpp>

#include "callers.hpp"
#include "decide.hpp"
#include "disposition.hpp"
#include "host_process.hpp"
#include "outcome.hpp"
#include "output.hpp"
#include "output_log.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPrepareLimit = 30s;
constexpr auto kLookForTree = 50ms; // no signal tells of a grandchild's end
constexpr auto kNoticeStop = 500ms; // how exactly the time poster itself was stopped is told from a deadline
constexpr auto kLate = 1s;
constexpr int kLastWordsTimeout = 1000;

SignalSource source_of(const signalfd_siginfo& info) {
    if (info.ssi_code > 0) return SignalSource::kernel;
    if (info.ssi_code != SI_QUEUE) return SignalSource::process;
    if (info.ssi_signo == SIGTERM && info.ssi_int == kKillOrder) return SignalSource::kill_order;
    return info.ssi_int == kRelayOrder ? SignalSource::relay : SignalSource::process;
}

// The loop that turns the world into inputs and carries actions out, from the fork of the child to its end.
class Watch {
public:
    Watch(const SupervisedRun& run, const CallersSignals& signals, const std::array<bool, 3>& closed, int signal_fd,
          bool shares_terminal)
        : run_(run), spec_(run.spec), signals_(signals), closed_(closed), signal_fd_(signal_fd), host_(run),
          started_(Clock::now()), oom_kills_(oom_kill_count()) {
        state_.shares_terminal = shares_terminal;
        state_.leads_session = ::getsid(0) == ::getpid();
    }

    Ending go(const std::vector<int>& extra_descriptors) {
        OutputLog log(run_.attempt_dir, started_);
        log_ = &log;
        OutputPlan output(closed_);
        output_ = &output;
        host_.start();
        state_.canary_alive = host_.alive();
        extra_ = &extra_descriptors;
        start();
        while (state_.phase != Phase::done || (!output_->flushed() && !told_to_leave_)) turn();
        output.flush_sinks(told_to_leave_ ? 0 : kLastWordsTimeout);
        host_.kill();
        return ending();
    }

private:
    // ---- the start

    void await_prepared() {
        auto limit = Clock::now() + kPrepareLimit;
        while (!host_.prepared() && Clock::now() < limit && !ending_signal_waits()) {
            std::vector<pollfd> polled{{signal_fd_, POLLIN, 0}, {host_.link(), POLLIN, 0}};
            ::poll(polled.data(), polled.size(), 1000);
            if (!hear_host()) break;
            if (polled[0].revents != 0) read_signals();
        }
        if (auto sealed = host_.sealed_spec()) spec_ = run_.parse_spec(*sealed);
    }

    // The host lives by now: whatever fails is an outcome, with its end hooks.
    void start() {
        try {
            if (run_.prepares) await_prepared();
            state_.grace = spec_.grace;
            if (!ended_before_start()) start_child();
        } catch (const std::exception& error) {
            own_failure_ = error.what();
            host_.tell(LinkKind::not_started);
            output_->close_child_ends();
            happens(Input::Kind::never_started);
        }
    }

    bool ending_signal_waits() const { return early_.has_value(); }

    // A signal that came before the child was started: the child never is.
    bool ended_before_start() {
        read_signals();
        if (!early_) return false;
        state_.cause = early_;
        host_.tell(LinkKind::not_started);
        happens(Input::Kind::never_started);
        return true;
    }

    void start_child() {
        started_ = Clock::now();
        if (spec_.timeout) state_.time_limit_at = started_ + *spec_.timeout;
        Spawned child =
            spawn_child({spec_, run_.environment, signals_, output_->child_ends(), closed_, !state_.shares_terminal});
        output_->close_child_ends();
        let_go_of_descriptors(*extra_);
        child_ = child.pid;
        if (child.exec_error != 0) {
            ::waitpid(std::exchange(child_, 0), nullptr, 0);
            if (!child.in_cwd) throw_errno("enter " + spec_.cwd.native(), child.exec_error);
            exec_error_ = child.exec_error;
            host_.tell(LinkKind::not_started);
            happens(Input::Kind::never_started);
            return;
        }
        host_.tell(LinkKind::started, child_);
        run_.child_started(child_);
        happens(Input::Kind::child_started);
        if (!output_->open()) happens(Input::Kind::streams_closed);
        for (const auto& info : std::exchange(early_others_, {})) take_signal(info);
    }

    // What the child has is the child's: the other ends must see it when the child closes it.
    void let_go_of_descriptors(const std::vector<int>& extra) const {
        for (int fd : extra) ::close(fd);
        set_to_null({STDIN_FILENO});
    }

    // ---- the loop

    void turn() {
        notice_continued();
        std::vector<pollfd> polled{{signal_fd_, POLLIN, 0}, {host_.alive() ? host_.link() : -1, POLLIN, 0}};
        output_->add_to(polled);
        auto wake = wake_time();
        timespec wait{};
        if (wake) {
            auto left =
                std::chrono::ceil<std::chrono::microseconds>(std::max(*wake - Clock::now(), Clock::duration{0}));
            wait.tv_sec = left.count() / 1'000'000;
            wait.tv_nsec = (left.count() % 1'000'000) * 1000;
        }
        int ready = ::ppoll(polled.data(), polled.size(), wake ? &wait : nullptr, nullptr);
        auto now = awake_ = Clock::now();
        if (wake && now - *wake > kLate) be_late(now - *wake);
        if (ready > 0) {
            bool host_spoke = polled[1].revents != 0;
            if (host_spoke) hear_host();
            // What the canary saw has come here too, and is to be matched before it is forgotten.
            if (polled[0].revents != 0 || host_spoke) read_signals();
            pump(polled);
        }
        if (state_.phase == Phase::sweeping) look_for_tree();
        log_->flush_if_due(now);
        notice_continued();
        auto deadline = next_deadline(state_);
        if (deadline && awake_ >= *deadline) happens(Input::Kind::tick);
    }

    // Stopped while it was not waiting: SIGCONT tells. A slow disk alone must not put a deadline off.
    void notice_continued() {
        const auto now = Clock::now();
        sigset_t pending;
        if (next_deadline(state_) && ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGCONT) == 1)
            continued_ = true;
        if (std::exchange(continued_, false)) be_late(now - awake_);
        awake_ = now;
    }

    // The time that this process was stopped is no part of anybody's grace.
    void be_late(Clock::duration late) {
        Input input = input_of(Input::Kind::woke_late);
        input.late = std::chrono::duration_cast<Milliseconds>(late);
        apply(input);
    }

    std::optional<MonoTime> wake_time() {
        auto now = Clock::now();
        auto wake = next_deadline(state_);
        auto sooner = [&](MonoTime at) { wake = wake ? std::min(*wake, at) : at; };
        if (auto due = log_->flush_if_due(now)) sooner(*due);
        if (state_.phase == Phase::sweeping) sooner(now + kLookForTree);
        if (state_.kill_at) sooner(now + kNoticeStop);
        if (host_.alive() && !host_.send_unsent()) sooner(now + kLookForTree);
        return wake;
    }

    void pump(const std::vector<pollfd>& polled) {
        bool was_open = output_->open();
        bool seen = output_->pump(polled, *log_);
        if (seen) happens(Input::Kind::output_seen);
        if (was_open && !output_->open()) happens(Input::Kind::streams_closed);
    }

    void look_for_tree() {
        if (left_descendants().empty()) happens(Input::Kind::tree_gone);
    }

    // Of other runs, begun by the host of this one: it outlives its parent, and comes down to this process then.
    bool is_recovery(pid_t pid) const {
        return pid != child_ && is_same_program(pid) && !has_in_environment(pid, run_.environment.front());
    }

    // Everything below poster that is neither the child itself nor the host's.
    std::vector<pid_t> left_descendants() const {
        std::vector<pid_t> all = descendants(::getpid());
        std::vector<pid_t> spared;
        const auto spare = [&](pid_t pid) {
            spared.push_back(pid);
            for (pid_t below : descendants(pid)) spared.push_back(below);
        };
        if (host_.alive()) spare(host_.pid());
        for (pid_t pid : all)
            if (is_recovery(pid)) spare(pid);
        std::erase_if(all, [&](pid_t pid) { return std::find(spared.begin(), spared.end(), pid) != spared.end(); });
        return all;
    }

    // ---- what comes in

    void read_signals() {
        signalfd_siginfo info{};
        while (::read(signal_fd_, &info, sizeof info) == sizeof info) {
            if (info.ssi_signo == SIGCHLD) {
                reap();
                continue;
            }
            if (info.ssi_signo == SIGCONT) continued_ = true;
            take_signal(info);
        }
    }

    void take_signal(const signalfd_siginfo& info) {
        Input input = input_of(Input::Kind::signal, static_cast<int>(info.ssi_signo));
        input.source = source_of(info);
        bool ends =
            input.number == SIGTERM || input.number == SIGINT || input.number == SIGHUP || input.number == SIGQUIT;
        if (input.source != SignalSource::kernel && ends)
            input.sender = {static_cast<pid_t>(info.ssi_pid), info.ssi_uid,
                            command_of(static_cast<pid_t>(info.ssi_pid))};
        if (state_.phase == Phase::starting) {
            bool typed = input.source == SignalSource::kernel;
            if (ends && !early_) early_ = Cause{input.number, typed, false, input.sender};
            if (!ends) early_others_.push_back(info);
            return;
        }
        if (state_.phase == Phase::done && ends) told_to_leave_ = true;
        apply(input);
    }

    void reap() {
        int status = 0;
        rusage usage{};
        pid_t pid = 0;
        while ((pid = ::wait4(-1, &status, WNOHANG | WUNTRACED | WCONTINUED, &usage)) > 0) {
            if (pid == child_) on_child(status, usage);
            if (pid == host_.pid() && WIFSTOPPED(status)) ::kill(pid, SIGCONT); // this process runs: the host must, too
            if (pid == host_.pid() && (WIFEXITED(status) || WIFSIGNALED(status))) on_host_gone(status);
        }
    }

    void on_child(int status, const rusage& usage) {
        Input input = input_of(Input::Kind::child_ended, status);
        if (WIFSTOPPED(status)) {
            input.kind = Input::Kind::child_stopped;
            input.number = WSTOPSIG(status);
        } else if (WIFCONTINUED(status)) {
            input.kind = Input::Kind::child_continued;
        } else {
            child_ = 0;
            usage_ = usage;
            ended_ = Clock::now();
        }
        if (state_.phase != Phase::starting) apply(input);
    }

    void on_host_gone(int status) {
        while (hear_host_once()) {
        } // its last words may be that all is done
        if (state_.phase == Phase::done || hooks_done_) {
            host_.forget();
            return;
        }
        happens(Input::Kind::canary_lost); // its successor knows nothing of what it was asked
        state_.canary_alive = host_.died(status);
        if (!state_.canary_alive && state_.phase == Phase::finalising) happens(Input::Kind::hooks_done);
    }

    bool hear_host_once() {
        LinkMessage message;
        if (host_.hear(message) != Receive::message) return false;
        if (message.kind == LinkKind::group_signal) {
            Input input = input_of(Input::Kind::group_signal, message.number);
            input.sender = {message.pid, message.uid, {}};
            apply(input);
        }
        if (message.kind == LinkKind::interrupt_first) happens(Input::Kind::uses_tracker);
        if (message.kind == LinkKind::canary_quiet) apply(input_of(Input::Kind::canary_quiet, message.number));
        if (message.kind == LinkKind::done) {
            hooks_done_ = true;
            happens(Input::Kind::hooks_done);
        }
        return true;
    }

    bool hear_host() {
        while (hear_host_once()) {
        }
        return host_.alive();
    }

    // ---- what goes out

    static Input input_of(Input::Kind kind, int number = 0) {
        Input input;
        input.kind = kind;
        input.now = Clock::now();
        input.number = number;
        return input;
    }

    void happens(Input::Kind kind) { apply(input_of(kind)); }

    void apply(Input input) {
        const bool matters = state_.interrupt_first && child_ > 0 && input.kind != Input::Kind::output_seen;
        input.child_dies_of_term = matters && has_default_action(child_, SIGTERM);
        Reaction reaction = react(std::move(state_), input);
        state_ = std::move(reaction.state);
        for (const auto& action : reaction.actions) carry_out(action);
    }

    void carry_out(const Action& action) {
        using Verb = Action::Verb;
        switch (action.verb) {
        case Verb::forward:
            if (child_ > 0) ::kill(child_, action.number);
            break;
        case Verb::interrupt_group: interrupt_group(); break;
        case Verb::ask_canary: host_.tell(LinkKind::ask_canary, action.number); break;
        case Verb::kill_tree: kill_tree(); break;
        case Verb::terminate_tree: signal_tree({SIGTERM, SIGCONT}); break;
        case Verb::stop_self: stop_self(action.number); break;
        case Verb::resize:
            output_->window_changed();
            if (child_ > 0) ::kill(child_, SIGWINCH);
            break;
        case Verb::close_streams: output_->close(*log_); break;
        case Verb::finalise: finalise(); break;
        case Verb::ask: host_.tell(LinkKind::asked); break;
        case Verb::hurry:
            told_to_leave_ = true;
            host_.tell(LinkKind::hurry);
            break;
        case Verb::leave: break;
        }
    }

    void kill_tree() {
        if (child_ > 0) { // whatever /proc may tell, or not
            ::kill(child_, SIGKILL);
            if (!state_.shares_terminal) ::kill(-child_, SIGKILL);
        }
        signal_tree({SIGKILL});
    }

    // What is in a group of its own, as wandb's own process is, would not get Ctrl-C either.
    void interrupt_group() {
        if (child_ <= 0) return;
        const pid_t group = ::getpgid(child_);
        ::kill(child_, SIGINT);
        for (pid_t pid : left_descendants())
            if (pid != child_ && ::getpgid(pid) == group) ::kill(pid, SIGINT);
    }

    void signal_tree(std::initializer_list<int> signals) {
        for (pid_t pid : left_descendants())
            for (int signal : signals) ::kill(pid, signal);
    }

    // Poster stops as its child did, so that the shell sees one job; the group stays consistent.
    void stop_self(int signal) {
        host_.tell(LinkKind::stopping, child_);
        output_->drain(*log_); // what the child wrote before is to be seen while it is stopped
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, signal);
        // The one typed may still be queued here; delivered after the raised one, it would stop poster a second time.
        timespec none{};
        ::sigtimedwait(&set, nullptr, &none);
        sigset_t before;
        ::sigprocmask(SIG_UNBLOCK, &set, &before);
        ::raise(signal);
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        output_->window_changed();
        if (child_ > 0 && is_stopped(child_)) ::kill(child_, SIGCONT);
    }

    void finalise() {
        if (state_.child_status && WIFSIGNALED(*state_.child_status)) output_->child_died_of_signal();
        Observations seen(state_);
        seen.usage = usage_;
        auto end = ended_.value_or(Clock::now());
        seen.duration = std::chrono::duration_cast<Milliseconds>(end - started_);
        if (const SharedPage* page = host_.page())
            seen.sampled_peak_bytes = std::atomic_ref(const_cast<SharedPage*>(page)->peak_memory_bytes).load();
        seen.oom_killer_struck = oom_kill_count() > oom_kills_;
        seen.exec_error = exec_error_;
        seen.stderr_tail = log_->tail();
        seen.left_behind = static_cast<int>(left_descendants().size());
        log_->close();
        seen.log_truncated = log_->truncated();
        outcome_ = compose_outcome(seen);
        if (!own_failure_.empty()) {
            outcome_.status = Status::failed;
            outcome_.exit_code = kOwnFailure;
            outcome_.reason = "poster could not start it: " + own_failure_;
        }
        mid_line_ = !log_->tail().empty() && log_->tail().back() != '\n';
        std::string record = run_.record_outcome(outcome_, exec_error_);
        host_.tell(LinkKind::ended, 0, std::move(record));
        if (!host_.alive()) happens(Input::Kind::hooks_done);
    }

    Ending ending() const {
        Ending end;
        end.outcome = outcome_;
        end.cursor_mid_line = mid_line_;
        end.own_failure = own_failure_;
        if (outcome_.exit_code) {
            end.exit_code = *outcome_.exit_code;
            return end;
        }
        int signal = outcome_.signal.value_or(outcome_.received_signal.value_or(SIGTERM));
        end.exit_code = 128 + signal;
        // A second core dump, or "poster was killed" in the shell, would be a lie.
        bool silent = false;
        for (int it : {SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) silent |= it == signal;
        if (!silent) end.die_of = signal;
        return end;
    }

    const SupervisedRun& run_;
    RunSpec spec_;
    const CallersSignals& signals_;
    const std::array<bool, 3>& closed_;
    const std::vector<int>* extra_ = nullptr;
    int signal_fd_;
    HostProcess host_;
    SupervisorState state_;
    OutputPlan* output_ = nullptr;
    OutputLog* log_ = nullptr;
    MonoTime started_;
    MonoTime awake_ = Clock::now(); // when this process was last seen to run
    bool continued_ = false;        // since then
    std::optional<MonoTime> ended_;
    std::uint64_t oom_kills_;
    std::optional<Cause> early_;
    std::vector<signalfd_siginfo> early_others_; // that came before the child was there
    std::string own_failure_;
    pid_t child_ = 0;
    int exec_error_ = 0;
    rusage usage_{};
    Outcome outcome_;
    bool hooks_done_ = false, told_to_leave_ = false, mid_line_ = false;
};

} // namespace

Supervisor::Supervisor(const sigset_t* mask) : callers_(std::make_unique<Callers>()) {
    if (mask != nullptr) callers_->signals.mask = *mask;
}
Supervisor::~Supervisor() = default;

Ending Supervisor::supervise(const SupervisedRun& run) {
    Watch watch(run, callers_->signals, callers_->closed, callers_->signal_fd.get(), callers_->has_terminal);
    return watch.go(callers_->extra);
}

void Supervisor::end(const Ending& ending) {
    if (ending.die_of) {
        int signal = *ending.die_of;
        rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::prctl(PR_SET_DUMPABLE, 0);
        ::signal(signal, SIG_DFL);
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, signal);
        ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
        ::raise(signal); // does nothing to PID 1
    }
    ::_exit(ending.exit_code);
}

} // namespace poster
