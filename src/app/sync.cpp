// `poster sync`: delivers what waits in outboxes, in rounds, until nothing is left or nothing will go by itself.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <engine.hpp>
#include <error.hpp>
#include <files.hpp>
#include <outbox.hpp>
#include <pending.hpp>
#include <registry.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "reading.hpp"
#include "recover.hpp"
#include "suggest.hpp"
#include "sync_view.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// How long it waits at all before it leaves the rest for later; whatever arrives begins the time anew. A passing
// trouble is so tried four times for the user, who waits, and seven times for a run, where nobody does.
struct Patience {
    Milliseconds with_trouble, with_others; // which deliver the same
};
constexpr Patience kForUser{10s, 60s};
constexpr Patience kInBackground{90s, 15min};
constexpr Milliseconds kWatchEvery = 2s;
constexpr Milliseconds kShortestWait = 100ms;
constexpr Milliseconds kLongestHeld = 2s;

volatile std::sig_atomic_t interrupted_by = 0;

void interrupt(int signal) {
    interrupted_by = signal;
}

// The first asks to leave off, the second ends it as usual.
void heed_signals() {
    struct sigaction action{};
    action.sa_handler = interrupt;
    action.sa_flags = int(SA_RESETHAND);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() {
    return interrupted_by != 0;
}

void sleep_until(Clock::time_point time) {
    while (!interrupted() && Clock::now() < time)
        std::this_thread::sleep_for(std::min<Clock::duration>(time - Clock::now(), 100ms));
}

void check_callbacks(const std::vector<std::string>& names) {
    std::vector<std::string> known;
    for (const auto* entry : registry())
        if (entry->hooks.deliver || entry->hooks.remote) known.push_back(entry->name);
    for (const auto& name : names)
        if (std::find(known.begin(), known.end(), name) == known.end())
            throw UsageError(fmt::format("no callback '{}' delivers anything", name),
                             fmt::format("they are: {}", fmt::join(known, ", ")));
}

bool is_asked_for(const SyncArguments& arguments, const std::string& callback) {
    const auto& names = arguments.callbacks;
    return names.empty() || std::find(names.begin(), names.end(), callback) != names.end();
}

// A run that is named may be from before its remotes were set up: who keeps copies, and was never asked for this run's.
std::vector<std::string> never_asked_for_copies(const Workspace& workspace, const SyncArguments& arguments,
                                                const std::string& id) {
    const auto known = Outbox(workspace.store.run_dir(id)).callbacks();
    std::vector<std::string> names;
    for (const auto* entry : registry()) {
        const bool queued = std::find(known.begin(), known.end(), entry->name) != known.end();
        if (entry->hooks.remote && !queued && is_asked_for(arguments, entry->name) &&
            activation_of(*entry, workspace.settings).on)
            names.push_back(entry->name);
    }
    return names;
}

void want_copies(const Workspace& workspace, const SyncArguments& arguments, const std::string& id) {
    for (const auto& name : never_asked_for_copies(workspace, arguments, id)) {
        OutboxEntry wanted;
        wanted.key = fmt::format("{}/{}/copies", id, name);
        wanted.callback = name;
        wanted.kind = Outbox::kCopies;
        Outbox(workspace.store.run_dir(id)).queue(wanted);
    }
    workspace.store.mark_pending(id);
}

class Syncing {
public:
    Syncing(Workspace workspace, const SyncArguments& arguments, SyncJob job, SyncView& view)
        : workspace_(std::move(workspace)), arguments_(arguments), job_(std::move(job)), view_(view),
          patience_(arguments.background ? kInBackground : kForUser) {}

    int work() {
        for (;;) {
            if (arguments_.runs.empty()) job_.runs = workspace_.store.pending_runs();
            const SyncResult result = sync_once(workspace_.store, workspace_.settings, job_, view_);
            const bool left = settle();
            delivered_ += result.delivered;
            // That was the user's word. From now on everything is tried when it is its time.
            job_.retry_failed = false;
            job_.only_due = true;
            if (!interrupted() && !left && !arguments_.watch) return 0;
            const bool again = !interrupted() && wait_for_next_round(result);
            if (interrupted()) return 128 + interrupted_by;
            if (again) continue;
            if (!arguments_.background) tell_what_is_left(result);
            return 1;
        }
    }

    std::size_t delivered() const { return delivered_; }

private:
    // True: something of these runs is left.
    bool settle() {
        bool left = false;
        for (const auto& id : job_.runs) {
            try {
                if (settle_pending(workspace_.store, id, workspace_.settings)) left = true;
            } catch (const Error& error) { // a full disk, or a folder that cannot be read: the others go on
                say(fmt::format("{}: {}", id, error.what()));
                left = true;
            }
        }
        return left;
    }

    // Where nothing has failed that was told of.
    void tell_what_is_left(const SyncResult& result) const {
        for (const auto& id : job_.runs)
            for (const auto& pending : pending_of(workspace_.store, id, workspace_.settings)) {
                if (!is_asked_for(arguments_, pending.callback) || pending.empty()) continue;
                if (!pending.on)
                    say(fmt::format("{}: {} messages wait for {}, which is off: {}", id, pending.messages.size(),
                                    pending.callback, pending.off_reason));
                else if (view_.is_held(id, pending.callback))
                    say(fmt::format("{}: another process still delivers to {}; if that was killed on another machine, "
                                    "`poster sync` can go on three minutes later",
                                    id, pending.callback));
                // Of a run that goes on, what is being written comes later in any case.
                else if (result.passing == 0 && pending.copying.error.empty() && !workspace_.store.is_active(id))
                    tell_what_changed(id, pending.files);
            }
    }

    static void tell_what_changed(const std::string& id, const std::vector<LocalFile>& files) {
        if (files.size() == 1)
            say(fmt::format("{}: {} changed meanwhile, and waits for the next sync", id, files.front().path));
        if (files.size() > 1)
            say(fmt::format("{}: {} files changed meanwhile, and wait for the next sync", id, files.size()));
    }

    // False: nothing will go by itself, or not soon.
    bool wait_for_next_round(const SyncResult& result) {
        if (result.delivered > 0) {
            waited_ = 0ms;
            held_every_ = kShortestWait;
        }
        std::optional<Milliseconds> wait;
        if (arguments_.watch) wait = kWatchEvery;
        if (!wait && result.held > 0 && waited_ < patience_.with_others) {
            wait = held_every_;
            held_every_ = std::min(2 * held_every_, kLongestHeld);
        }
        if (!arguments_.watch && result.passing > 0 && result.next_try) {
            const Milliseconds until = std::max(*result.next_try - wall_now(), kShortestWait);
            if (waited_ + until <= patience_.with_trouble) wait = std::min(wait.value_or(until), until);
        }
        if (!wait) return false;
        sleep_until(Clock::now() + *wait);
        waited_ += *wait;
        return true;
    }

    Workspace workspace_;
    const SyncArguments& arguments_;
    SyncJob job_;
    SyncView& view_;
    Patience patience_;
    Milliseconds waited_{0}, held_every_ = kShortestWait;
    std::size_t delivered_ = 0;
};

void print_pending(const std::string& id, const Pending& pending, bool as_json, std::string& out) {
    const auto one = [&](json record, const std::string& line) {
        record.update({{"run", id}, {"callback", pending.callback}});
        out += as_json ? record.dump(-1, ' ', false, json::error_handler_t::replace)
                       : printable(fmt::format("{} {}: {}", id, pending.callback, line));
        out += '\n';
    };
    for (const auto& message : pending.messages) {
        std::string line = message.entry.kind;
        if (!message.state.error.empty())
            line += fmt::format(" ({} tries: {})", message.state.tries, message.state.error);
        one({{"kind", message.entry.kind}, {"key", message.entry.key}, {"error", message.state.error}}, line);
    }
    for (const auto& file : pending.files)
        one({{"path", file.path}, {"bytes", file.bytes}, {"destination", pending.destination}},
            fmt::format("{} ({}) to {}", file.path, format_bytes(file.bytes), pending.destination));
    if (!pending.on && !pending.empty())
        one({{"off", pending.off_reason}}, fmt::format("is off: {}", pending.off_reason));
    if (pending.manifest_due && pending.files.empty())
        one({{"path", "manifest.json"}, {"destination", pending.destination}},
            fmt::format("manifest.json to {}", pending.destination));
    if (pending.copies_due() && !pending.copying.error.empty())
        one({{"error", pending.copying.error}, {"tries", pending.copying.tries}},
            fmt::format("{} tries: {}", pending.copying.tries, pending.copying.error));
}

int print_what_waits(const Workspace& workspace, const SyncArguments& arguments, const std::vector<std::string>& runs) {
    std::string out;
    for (const auto& id : runs) {
        // As if they had been asked for: nothing is written.
        const auto wanted =
            arguments.runs.empty() ? std::vector<std::string>{} : never_asked_for_copies(workspace, arguments, id);
        for (const auto& pending : pending_of(workspace.store, id, workspace.settings, wanted))
            if (is_asked_for(arguments, pending.callback)) print_pending(id, pending, arguments.json, out);
    }
    write_all(STDOUT_FILENO, out);
    if (out.empty() && !arguments.json) say("nothing waits to be delivered");
    return 0;
}

SyncView::Form form_of(const SyncArguments& arguments) {
    if (arguments.background) return SyncView::Form::errors;
    if (arguments.json) return SyncView::Form::json;
    return ::isatty(STDERR_FILENO) != 0 ? SyncView::Form::bars : SyncView::Form::lines;
}

} // namespace

int sync_runs(const SyncArguments& arguments) {
    check_callbacks(arguments.callbacks);
    Workspace workspace = open_workspace(arguments.store);
    if (!workspace.store.exists()) throw Error(no_store_message(workspace), "--store DIR names another");
    std::vector<std::string> runs = arguments.runs;
    if (!arguments.background) {
        recover_abandoned_runs(workspace);
        if (!runs.empty()) {
            runs.clear();
            Reading reading{workspace, std::make_unique<Index>(workspace.store)};
            reading.index->refresh();
            for (const auto& row : find_runs(reading, arguments.runs)) runs.push_back(row.id);
        }
    }
    if (arguments.dry_run)
        return print_what_waits(workspace, arguments, arguments.runs.empty() ? workspace.store.pending_runs() : runs);
    if (!arguments.background)
        for (const auto& id : runs) want_copies(workspace, arguments, id);
    SyncJob job;
    job.runs = runs;
    job.callbacks = arguments.callbacks;
    job.retry_failed = arguments.retry_failed;
    job.jobs = arguments.jobs ? int(*arguments.jobs) : int(std::max(1L, workspace.settings.integer("sync.jobs")));
    job.cancelled = interrupted;
    heed_signals();
    SyncView view(form_of(arguments));
    Syncing syncing(std::move(workspace), arguments, std::move(job), view);
    const int status = syncing.work();
    if (status == 0 && syncing.delivered() == 0 && !arguments.json && !arguments.background) say("nothing was waiting");
    return status;
}

} // namespace poster
