#include "host.hpp"

#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <files.hpp>
#include <outbox.hpp>
#include <process.hpp>
#include <records.hpp>

#include "ledger.hpp"
#include "registry.hpp"
#include "run_record.hpp"
#include "worker.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kHookBudget = 30s;
constexpr auto kAllEndHooks = 120s;
constexpr auto kHurried = 2s;
constexpr auto kLateStart = 50ms; // after the child's
constexpr auto kHeartbeatEvery = 10s;
constexpr auto kRecordEvery = 20ms;
constexpr auto kLookAtStopped = 100ms;
constexpr auto kDeliverAfter = 1000ms; // a run of moments is delivered at its end, once
constexpr auto kRecordAgain = 2000ms;  // where it could not be written
// The kernel gives the members of a group their signals one after the other; all have theirs by then.
constexpr auto kGroupDelivery = 2ms;

Milliseconds hook_budget() {
    const char* wanted = std::getenv("POSTER_HOOK_TIMEOUT"); // milliseconds; for tests
    return wanted != nullptr ? Milliseconds(std::max(1, std::atoi(wanted))) : Milliseconds(kHookBudget);
}

std::vector<const CallbackEntry*> active_callbacks(const Settings& settings) {
    std::vector<const CallbackEntry*> active;
    for (const auto* entry : registry())
        if (activation_of(*entry, settings).on) active.push_back(entry);
    return active;
}

class Host {
public:
    explicit Host(HostJob job)
        : job_(std::move(job)), ledger_(job_.run.attempt_dir(), job_.run.id, job_.run.attempt),
          record_(job_.run.dir / "run.json"), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        ::mallopt(M_ARENA_MAX, 2);
        ledger_.settle_begun(job_.page != nullptr && job_.page->host_faulted);
        ::umask(077); // whatever a library writes for a callback is the user's alone
        job_.run.record = [this](std::string_view section, const nlohmann::json& value) {
            record_.merge(section, value);
            wake();
        };
        job_.run.replace = [this](std::string_view section, const nlohmann::json& value) {
            record_.replace(section, value);
            wake();
        };
        job_.run.queue = [this](OutboxEntry entry) {
            entry.attempt = job_.run.attempt;
            job_.queue(entry);
            queued_ = true;
            wake();
        };
        job_.run.note_peak_memory = [this](std::uint64_t bytes) { note_peak_memory(bytes); };
        job_.run.interrupt_first = [this] { interrupt_first(); };
        for (const auto* entry : active_callbacks(job_.settings)) workers_.push_back(make_worker(*entry));
    }

    void watch_signals() {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        signals_ = Fd(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    }

    // Beside the supervisor, until the end hooks are done.
    int accompany() {
        watch_signals();
        begin_prepare();
        next_heartbeat_ = Clock::now();
        while (!over()) turn();
        finish();
        LinkMessage done;
        done.kind = LinkKind::done;
        if (job_.link) send_message(job_.link.get(), done);
        return 0;
    }

    void end_hooks_only(const Outcome& outcome) {
        begin_end(outcome);
        while (!over()) turn();
        finish();
    }

private:
    std::shared_ptr<Worker> make_worker(const CallbackEntry& entry) {
        return std::make_shared<Worker>(entry, job_.settings, job_.run, ledger_, hook_budget(), [this] { wake(); });
    }

    void wake() const {
        std::uint64_t one = 1;
        if (::write(wake_.get(), &one, sizeof one) < 0) return; // full: it is awake already
    }

    void interrupt_first() const {
        LinkMessage word;
        word.kind = LinkKind::interrupt_first;
        if (job_.link) send_message(job_.link.get(), word);
    }

    void note_peak_memory(std::uint64_t bytes) const {
        if (job_.page == nullptr) return;
        std::atomic_ref<std::uint64_t> peak(job_.page->peak_memory_bytes);
        std::uint64_t seen = peak.load();
        while (bytes > seen && !peak.compare_exchange_weak(seen, bytes)) {
        }
    }

    // ---- prepare: one after the other, on a thread, so that the canary goes on speaking

    void begin_prepare() {
        bool wanted = job_.link && job_.sealed_spec >= 0;
        for (const auto& worker : workers_) prepare_pending_ |= wanted && worker != nullptr;
        if (!prepare_pending_) return;
        std::thread([this] {
            RunSpec spec = job_.run.spec;
            auto before = spec_to_json(spec);
            for (const auto& worker : workers_) worker->prepare(spec);
            auto after = spec_to_json(spec);
            LinkMessage prepared;
            prepared.kind = LinkKind::prepared;
            prepared.number = after == before ? 0 : 1;
            if (prepared.number == 1)
                write_all(job_.sealed_spec, after.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
            job_.run.spec = spec; // read by others only after `started`, which follows `prepared`
            send_message(job_.link.get(), prepared);
        }).detach();
    }

    // ---- the loop

    void turn() {
        pollfd polled[3] = {{signals_ ? signals_.get() : -1, POLLIN, 0},
                            {link_open() ? job_.link.get() : -1, POLLIN, 0},
                            {wake_.get(), POLLIN, 0}};
        auto left = std::chrono::ceil<Milliseconds>(wake_time() - Clock::now()).count();
        ::poll(polled, 3, static_cast<int>(std::max<long>(left, 0)));
        if (polled[0].revents != 0) read_signals();
        if (polled[1].revents != 0) read_link();
        if (polled[2].revents != 0) {
            std::uint64_t count = 0;
            if (::read(wake_.get(), &count, sizeof count) < 0) count = 0;
        }
        auto now = Clock::now();
        if (answer_at_ && now >= *answer_at_) answer_supervisor();
        if (late_start_at_ && now >= *late_start_at_) start_late();
        if (stopped_child_) look_at_stopped(*stopped_child_);
        abandon_overdue(now);
        if (ending_) end_readers();
        if (record_.dirty() && now >= next_record_) {
            const bool written = record_.flush();
            next_record_ = Clock::now() + (written ? kRecordEvery : kRecordAgain);
        }
        if (!ending_) deliver_when_due(now);
        if (job_.heartbeat && !ending_ && now >= next_heartbeat_) {
            job_.heartbeat();
            next_heartbeat_ = now + kHeartbeatEvery;
        }
    }

    Clock::time_point wake_time() const {
        auto wake = Clock::now() + kHeartbeatEvery;
        if (job_.heartbeat && !ending_) wake = std::min<Clock::time_point>(wake, next_heartbeat_);
        if (stopped_child_) wake = std::min<Clock::time_point>(wake, Clock::now() + kLookAtStopped);
        if (answer_at_) wake = std::min<Clock::time_point>(wake, *answer_at_);
        if (late_start_at_) wake = std::min<Clock::time_point>(wake, *late_start_at_);
        if (record_.dirty()) wake = std::min<Clock::time_point>(wake, next_record_);
        if (ending_) wake = std::min<Clock::time_point>(wake, end_limit_);
        if (!ending_) wake = std::min<Clock::time_point>(wake, deliver_at_);
        for (const auto& worker : workers_)
            if (auto at = worker->overdue_at()) wake = std::min<Clock::time_point>(wake, *at);
        return wake;
    }

    // What a hook has queued, soon; copies of the run directory, every now and then.
    void deliver_when_due(Clock::time_point now) {
        if (!job_.deliver) return;
        if (queued_.exchange(false)) deliver_at_ = std::min<Clock::time_point>(deliver_at_, now + kDeliverAfter);
        if (now < deliver_at_) return;
        const bool begun = job_.deliver();
        deliver_at_ = !begun ? now + kDeliverAfter : has_copies_ ? now + job_.deliver_every : Clock::time_point::max();
    }

    // Of the run directory, by every callback that keeps some.
    void want_copies() {
        if (std::exchange(copies_wanted_, true) || !job_.queue) return;
        for (const auto& worker : workers_) {
            if (!worker->keeps_copies()) continue;
            OutboxEntry entry;
            entry.key = fmt::format("{}/{}/copies", job_.run.id, worker->name());
            entry.callback = worker->name();
            entry.kind = Outbox::kCopies;
            try {
                job_.run.queue(entry);
                has_copies_ = true;
            } catch (const std::exception&) {
                continue; // a full disk: `poster sync RUN` asks for them again
            }
        }
    }

    bool link_open() const { return bool(job_.link) && !supervisor_gone_; }

    // The canary: a signal that a process sent and that reached this one too was for the whole group.
    void read_signals() const {
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
            if (info.ssi_code > 0 || info.ssi_signo == SIGCHLD || !job_.link) continue;
            LinkMessage word;
            word.kind = LinkKind::group_signal;
            word.number = static_cast<std::int32_t>(info.ssi_signo);
            word.pid = static_cast<std::int32_t>(info.ssi_pid);
            word.uid = info.ssi_uid;
            send_message(job_.link.get(), word);
        }
    }

    // The supervisor has a signal and asks whether the group has it; every word is said before the answer.
    void answer_supervisor() {
        answer_at_.reset();
        read_signals();
        LinkMessage quiet;
        quiet.kind = LinkKind::canary_quiet;
        quiet.number = question_;
        send_message(job_.link.get(), quiet);
    }

    // The supervisor has stopped itself because its child was. Somebody may have continued the child alone.
    void look_at_stopped(pid_t child) {
        if (is_stopped(child)) return;
        if (is_stopped(::getppid())) ::kill(::getppid(), SIGCONT);
        stopped_child_.reset();
    }

    void read_link() {
        LinkMessage message;
        for (;;) {
            Receive received = receive_message(job_.link.get(), message);
            if (received == Receive::nothing) return;
            if (received == Receive::closed) return on_supervisor_gone();
            if (message.kind == LinkKind::started) begin(message.number);
            if (message.kind == LinkKind::stopping) stopped_child_ = message.number;
            if (message.kind == LinkKind::ask_canary) {
                question_ = message.number;
                answer_at_ = Clock::now() + kGroupDelivery;
            }
            if (message.kind == LinkKind::asked) asked_at_ = Clock::now();
            if (message.kind == LinkKind::hurry) hurry();
            if (message.kind == LinkKind::ended) {
                auto outcome = outcome_from_json(nlohmann::json::parse(message.text, nullptr, false));
                // Too long for a message: it stands in the record.
                if (!outcome) outcome = read_outcome(job_.run.attempt_dir());
                begin_end(outcome.value_or(Outcome{}));
            }
        }
    }

    void begin(pid_t child) {
        if (started_) return;
        started_ = true;
        job_.run.child = child;
        want_copies();
        for (const auto& worker : workers_)
            if (!worker->may_start_late()) worker->start(ticks());
        late_start_at_ = Clock::now() + kLateStart;
    }

    // A run that is over by then never makes their threads for more than their end hooks.
    void start_late() {
        late_start_at_.reset();
        for (const auto& worker : workers_)
            if (worker->may_start_late()) worker->start(ticks());
    }

    bool ticks() const { return job_.page == nullptr || !job_.page->host_faulted; }

    // The guardian: the supervisor went without a goodbye.
    void on_supervisor_gone() {
        supervisor_gone_ = true;
        if (ending_ || !job_.end_orphaned_run) return;
        if (auto outcome = job_.end_orphaned_run())
            begin_end(*outcome);
        else
            ::_exit(0);
    }

    void begin_end(const Outcome& outcome) {
        if (ending_) return;
        ending_ = true;
        late_start_at_.reset();
        outcome_ = outcome;
        want_copies();
        end_limit_ = Clock::now() + kAllEndHooks;
        for (const auto& worker : workers_)
            if (worker->adds_events()) worker->end(outcome_, Clock::now() + hook_budget());
        end_readers();
    }

    // Once nothing is added to the event log any more.
    void end_readers() {
        if (readers_end_) return;
        for (const auto& worker : workers_)
            if (worker->adds_events() && !worker->ended()) return;
        readers_end_ = true;
        for (const auto& worker : workers_)
            if (!worker->adds_events()) worker->end(outcome_, Clock::now() + hook_budget());
    }

    void hurry() {
        hurried_ = true;
        auto limit = Clock::now() + kHurried;
        end_limit_ = std::min<Clock::time_point>(end_limit_, limit);
        for (const auto& worker : workers_) worker->hurry(limit);
    }

    void abandon_overdue(Clock::time_point now) {
        for (auto& worker : workers_) {
            auto at = worker->overdue_at();
            bool out_of_time = at && (now >= *at || (ending_ && now >= end_limit_));
            if (!out_of_time) continue;
            if (auto successor = worker->abandon()) worker = successor;
        }
    }

    // What a hook that was given up had started, such as a git that hangs. Recovery has a session of its own and goes
    // on.
    static void kill_helpers() {
        for (pid_t pid : descendants(::getpid()))
            if (::getsid(pid) == ::getsid(0)) ::kill(pid, SIGKILL);
    }

    void finish() {
        kill_helpers();
        record_.flush();
        if (job_.finished) await(job_.finished(all_ended(), outcome_));
    }

    // Until it ends, or somebody is in a hurry. Who sent a signal meanwhile will not wait much longer than the grace
    // period.
    void await(const LastDelivery& delivery) {
        auto limit = Clock::now() + delivery.limit;
        while (delivery.process && !hurried_) {
            if (asked_at_) limit = std::min<Clock::time_point>(limit, *asked_at_ + job_.run.spec.grace / 2);
            const auto left = std::chrono::ceil<Milliseconds>(limit - Clock::now());
            if (left <= 0ms) return;
            pollfd polled[2] = {{delivery.process.get(), POLLIN, 0}, {link_open() ? job_.link.get() : -1, POLLIN, 0}};
            ::poll(polled, 2, int(left.count()));
            if (polled[0].revents != 0) return;
            if (polled[1].revents != 0) read_link();
        }
    }

    bool all_ended() const {
        if (!readers_end_) return false;
        for (const auto& worker : workers_)
            if (!worker->ended()) return false;
        return true;
    }

    bool over() const { return ending_ && (all_ended() || Clock::now() >= end_limit_); }

    HostJob job_;
    Ledger ledger_;
    RunRecord record_;
    Fd wake_, signals_;
    std::vector<std::shared_ptr<Worker>> workers_;
    bool prepare_pending_ = false, started_ = false, ending_ = false, readers_end_ = false, supervisor_gone_ = false,
         hurried_ = false;
    bool copies_wanted_ = false, has_copies_ = false;
    std::atomic<bool> queued_{false};
    Clock::time_point deliver_at_ = Clock::time_point::max();
    Outcome outcome_; // once it is ending
    std::optional<pid_t> stopped_child_;
    std::int32_t question_ = 0;
    std::optional<Clock::time_point> answer_at_, late_start_at_, asked_at_;
    Clock::time_point next_heartbeat_{}, next_record_{}, end_limit_ = Clock::time_point::max();
};

} // namespace

int run_callback_host(HostJob job) {
    // Never destroyed: threads that were given up may still use it when the process ends.
    return (new Host(std::move(job)))->accompany();
}

void run_end_hooks(HostJob job, const Outcome& outcome) {
    (new Host(std::move(job)))->end_hooks_only(outcome);
}

bool end_hooks_complete(const std::filesystem::path& attempt_dir, const Settings& settings) {
    const Ledger ledger(attempt_dir, "", 0);
    const auto outcome = read_outcome(attempt_dir);
    for (const auto* entry : active_callbacks(settings)) {
        const bool wanted = entry->hooks.end && !(outcome && is_too_short_for(*entry, *outcome));
        if (wanted && ledger.mark(entry->name, "end") != Ledger::Mark::ended) return false;
    }
    return true;
}

bool any_callback_prepares(const Settings& settings) {
    for (const auto* entry : active_callbacks(settings))
        if (entry->hooks.prepare) return true;
    return false;
}

} // namespace poster
