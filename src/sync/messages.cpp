#include "messages.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

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

// A mail server may take ten minutes for its word on a whole mail.
constexpr std::chrono::minutes kMessageTime{12};
constexpr int kLookForInterrupt = 100; // ms

Run run_of(const Store& store, const std::string& id, int attempt) {
    Run run;
    run.id = id;
    run.dir = store.run_dir(id);
    run.store = store.dir();
    run.attempt = attempt;
    run.spec = spec_from_json(read_json(run.dir / "run.json").value_or(json::object()));
    return run;
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

// However long the remote takes.
void keep_until(const std::stop_token& over, Lease& lease) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    while (!over.stop_requested()) {
        lease.keep();
        changed.wait_for(lock, over, Lease::kRenewal / 2, [] { return false; });
    }
}

// False: `poster sync` is gone.
bool tell(int sync, const json& line) {
    return write_all(sync, line.dump(-1, ' ', false, json::error_handler_t::replace) + '\n');
}

// In the courier's process.
class Round {
public:
    Round(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job, int sync)
        : store_(store), entry_(entry), job_(job), sync_(sync), callback_(entry.create(settings)) {}

    void work() {
        for (const auto& id : job_.runs) {
            try {
                if (!deliver_run(id)) return;
            } catch (const Error& error) { // a full disk, or something odd in place of this run's outbox
                if (!say_of(id, {{"kind", "messages"}, {"error", error.what()}, {"help", error.help()}})) return;
            }
        }
    }

private:
    using Message = OutboxView::Message;

    // False: the remote takes nothing at the moment, or `poster sync` leaves off.
    bool deliver_run(const std::string& id) {
        const Outbox outbox(store_.run_dir(id));
        if (!outbox.exists()) return true;
        const auto waiting = messages_of(outbox);
        if (waiting.empty()) return true;
        if (is_too_early(waiting.front())) return put_off(id, waiting.front());
        auto lease = Lease::acquire(outbox.dir() / "lease", entry_.name);
        if (!lease) return say_of(id, {{"held", true}});
        OutboxNotes notes(outbox, entry_.name);
        for (const auto& message : messages_of(outbox)) { // again: now nobody else adds to it
            if (is_too_early(message)) return put_off(id, message);
            if (is_told_to_leave_off() || !lease->renew() || !deliver_message(id, notes, message, *lease)) return false;
        }
        return true;
    }

    // Those that wait for nobody's decision.
    std::vector<Message> messages_of(const Outbox& outbox) const {
        auto messages = outbox.view(entry_.name).messages;
        std::erase_if(messages, [&](const Message& message) {
            const Stage stage = message.state.stage;
            return stage == Stage::delivered || (stage == Stage::failed && !job_.retry_failed);
        });
        return messages;
    }

    bool is_too_early(const Message& message) const {
        return job_.only_due && message.state.stage == Stage::retry && message.state.next_try > wall_now();
    }

    // And whatever comes after it: they arrive in their order, and what passes is the remote's trouble as a whole.
    bool put_off(const std::string& id, const Message& message) const {
        say_of(id, {{"put_off", true}, {"next_try", iso8601(message.state.next_try)}});
        return false;
    }

    // As `poster sync` has said so, or is gone.
    bool is_told_to_leave_off() const {
        char none = 0;
        const ssize_t got = ::recv(sync_, &none, 1, MSG_DONTWAIT);
        return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    }

    bool deliver_message(const std::string& id, OutboxNotes& notes, const Message& message, Lease& lease) {
        const OutboxEntry& entry = message.entry;
        notes.begun(entry.key); // before the first byte: whoever comes after a crash knows that it may have arrived
        Delivery delivery;
        {
            const std::jthread keeper([&](const std::stop_token& over) { keep_until(over, lease); });
            delivery = try_delivery(*callback_, run_of(store_, id, entry.attempt), entry);
        }
        const int tries = entry.tries + 1;
        const WallTime next = wall_now() + wait_after(tries, delivery.retry_after);
        try {
            notes.ended(entry.key, delivery, tries, next);
        } catch (const Error& error) { // nothing more is sent that could not be written down
            say_of(id, {{"kind", entry.kind}, {"error", error.what()}, {"help", error.help()}});
            return false;
        }
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
        return tell(sync_, line);
    }

    const Store& store_;
    const CallbackEntry& entry_;
    const SyncJob& job_;
    int sync_; // the socket to it
    std::unique_ptr<Callback> callback_;
};

[[noreturn]] void be_courier(const Store& store, const Settings& settings, const CallbackEntry& entry,
                             const SyncJob& job, int sync) {
    ::setsid();
    ::signal(SIGPIPE, SIG_IGN);
    close_descriptors_except({sync}); // with another courier's socket here that one would not hear its end
    try {
        Round(store, settings, entry, job, sync).work();
    } catch (const std::exception& error) {
        tell(sync, {{"kind", "messages"}, {"error", error.what()}});
    }
    ::_exit(0);
}

void add_passing(SyncResult& result, const json& line) {
    SyncResult more;
    more.passing = 1;
    more.next_try = parse_iso8601(text_of(line, "next_try"));
    add(result, more);
}

void take(const std::string& run, const json& line, const std::string& callback, SyncObserver& observer,
          SyncResult& result) {
    if (line.contains("held")) {
        ++result.held;
        return observer.held(run, callback);
    }
    if (line.contains("put_off")) return add_passing(result, line);
    Delivery delivery;
    delivery.state = Delivery::State(line.value("state", int(Delivery::State::retry)));
    delivery.receipt = text_of(line, "receipt");
    delivery.error = text_of(line, "error");
    delivery.help = text_of(line, "help");
    switch (delivery.state) {
    case Delivery::State::delivered: ++result.delivered; break;
    case Delivery::State::failed: ++result.failed; break;
    case Delivery::State::retry: add_passing(result, line);
    }
    observer.message_done(run, callback, text_of(line, "kind"), delivery);
}

} // namespace

Courier::Courier(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job)
    : callback_(entry.name), run_(job.runs.front()) {
    int ends[2];
    check_syscall("make a pair of sockets", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    link_ = Fd(ends[0]);
    const Fd sync{ends[1]};
    pid_ = check_syscall("fork", ::fork());
    if (pid_ == 0) be_courier(store, settings, entry, job, sync.get());
}

void Courier::follow(const std::function<bool()>& cancelled, SyncObserver& observer, SyncResult& result) {
    std::string heard;
    char chunk[4096];
    bool told = false;
    for (;;) {
        if (!told && cancelled && cancelled()) {
            ::shutdown(link_.get(), SHUT_WR); // the message under way comes to its end
            told = true;
        }
        pollfd words{link_.get(), POLLIN, 0};
        if (::poll(&words, 1, told || !cancelled ? -1 : kLookForInterrupt) <= 0) continue;
        const ssize_t got = ::read(link_.get(), chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        heard.append(chunk, std::size_t(got));
        for (auto end = heard.find('\n'); end != std::string::npos; end = heard.find('\n')) {
            const json line = json::parse(heard.substr(0, end), nullptr, false);
            if (line.is_object()) {
                if (line.contains("run")) run_ = text_of(line, "run");
                take(run_, line, callback_, observer, result);
            }
            heard.erase(0, end + 1);
        }
    }
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) return;
    ++result.passing;
    observer.message_done(run_, callback_, "messages", Delivery::passing("the process that sends them was killed"));
}

} // namespace poster
