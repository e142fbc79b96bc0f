#include "messages.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <lease.hpp>
#include <outbox.hpp>
#include <process.hpp>
#include <records.hpp>

#include "backoff.hpp"

namespace poster {

namespace {

using nlohmann::json;
using Stage = DeliveryState::Stage;

constexpr std::chrono::seconds kMessageTime{60};

Run run_of(const Store& store, const std::string& id, int attempt) {
    Run run;
    run.id = id;
    run.dir = store.run_dir(id);
    run.store = store.dir();
    run.attempt = attempt;
    run.spec = spec_from_json(read_json(run.dir / "run.json").value_or(json::object()));
    return run;
}

bool is_due(const OutboxView::Message& message, const SyncJob& job) {
    const DeliveryState& state = message.state;
    if (state.stage == Stage::failed) return job.retry_failed;
    if (state.stage == Stage::retry && job.only_due) return state.next_try <= wall_now();
    return state.stage != Stage::delivered;
}

Delivery try_delivery(Callback& callback, const Run& run, const OutboxEntry& entry) {
    try {
        return callback.deliver(run, entry, std::chrono::steady_clock::now() + kMessageTime);
    } catch (const Error& error) {
        return {Delivery::State::retry, {}, error.what(), error.help(), {}};
    } catch (const std::exception& error) {
        return Delivery::passing(error.what());
    }
}

// In the courier's process.
class Round {
public:
    Round(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job, int tell)
        : store_(store), entry_(entry), job_(job), tell_(tell), callback_(entry.create(settings)) {}

    void work() {
        for (const auto& id : job_.runs)
            if (!deliver_run(id)) return;
    }

private:
    // False: the remote takes nothing at the moment, or `poster sync` is gone.
    bool deliver_run(const std::string& id) {
        const Outbox outbox(store_.run_dir(id));
        if (!outbox.exists() || !has_due(outbox)) return true;
        auto lease = Lease::acquire(outbox.dir() / "lease", entry_.name);
        if (!lease) {
            return say_of(id, {{"held", true}});
        }
        OutboxNotes notes(outbox, entry_.name);
        for (const auto& message : outbox.view(entry_.name).messages) { // again: now nobody else adds to it
            if (!is_due(message, job_)) continue;
            if (!lease->renew() || !deliver_message(id, notes, message)) return false;
        }
        return true;
    }

    bool has_due(const Outbox& outbox) const {
        for (const auto& message : outbox.view(entry_.name).messages)
            if (is_due(message, job_)) return true;
        return false;
    }

    bool deliver_message(const std::string& id, OutboxNotes& notes, const OutboxView::Message& message) {
        const OutboxEntry& entry = message.entry;
        notes.begun(entry.key); // before the first byte: whoever comes after a crash knows that it may have arrived
        const Delivery delivery = try_delivery(*callback_, run_of(store_, id, entry.attempt), entry);
        const int tries = entry.tries + 1;
        const WallTime next = wall_now() + wait_after(tries, delivery.retry_after);
        notes.ended(entry.key, delivery, tries, next);
        const bool heard = say_of(id, {{"kind", entry.kind},
                                       {"state", int(delivery.state)},
                                       {"receipt", delivery.receipt},
                                       {"error", delivery.error},
                                       {"help", delivery.help},
                                       {"next_try", iso8601(next)}});
        return heard && delivery.state != Delivery::State::retry;
    }

    bool say_of(const std::string& id, json line) const {
        line["run"] = id;
        return write_all(tell_, line.dump(-1, ' ', false, json::error_handler_t::replace) + '\n');
    }

    const Store& store_;
    const CallbackEntry& entry_;
    const SyncJob& job_;
    int tell_;
    std::unique_ptr<Callback> callback_;
};

[[noreturn]] void be_courier(const Store& store, const Settings& settings, const CallbackEntry& entry,
                             const SyncJob& job, int tell) {
    ::setsid();
    ::signal(SIGPIPE, SIG_IGN);
    try {
        Round(store, settings, entry, job, tell).work();
    } catch (const std::exception&) {
        ::_exit(1); // a full disk: what was not noted is tried again
    }
    ::_exit(0);
}

void take(const json& line, const std::string& callback, SyncObserver& observer, SyncResult& result) {
    const std::string run = text_of(line, "run");
    if (line.contains("held")) {
        ++result.held;
        return observer.held(run, callback);
    }
    Delivery delivery;
    delivery.state = Delivery::State(line.value("state", int(Delivery::State::retry)));
    delivery.receipt = text_of(line, "receipt");
    delivery.error = text_of(line, "error");
    delivery.help = text_of(line, "help");
    switch (delivery.state) {
    case Delivery::State::delivered: ++result.delivered; break;
    case Delivery::State::failed: ++result.failed; break;
    case Delivery::State::retry: {
        ++result.passing;
        const auto next = parse_iso8601(text_of(line, "next_try"));
        if (next) result.next_try = result.next_try ? std::min(*result.next_try, *next) : *next;
    }
    }
    observer.message_done(run, callback, text_of(line, "kind"), delivery);
}

} // namespace

Courier::Courier(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job)
    : callback_(entry.name) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("create a pipe", errno);
    told_ = Fd(ends[0]);
    const Fd tell{ends[1]};
    pid_ = check_syscall("fork", ::fork());
    if (pid_ != 0) return;
    be_courier(store, settings, entry, job, tell.get());
}

bool Courier::follow(SyncObserver& observer, SyncResult& result) {
    std::string heard;
    char chunk[4096];
    for (;;) {
        const ssize_t got = ::read(told_.get(), chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        heard.append(chunk, std::size_t(got));
        for (auto end = heard.find('\n'); end != std::string::npos; end = heard.find('\n')) {
            const json line = json::parse(heard.substr(0, end), nullptr, false);
            if (line.is_object()) take(line, callback_, observer, result);
            heard.erase(0, end + 1);
        }
    }
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace poster
