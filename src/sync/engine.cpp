#include "engine.hpp"

#include <algorithm>
#include <memory>
#include <thread>

#include <nlohmann/json.hpp>

#include <outbox.hpp>
#include <records.hpp>
#include <registry.hpp>

#include "copies.hpp"
#include "messages.hpp"
#include "pending.hpp"

namespace poster {

using nlohmann::json;

namespace {

// One call at a time, whoever calls.
class Serialized : public SyncObserver {
public:
    explicit Serialized(SyncObserver& observer) : observer_(observer) {}

    void copies_begin(const std::string& run, const std::string& callback, const std::string& destination,
                      std::size_t files, std::uint64_t bytes) override {
        const std::lock_guard lock(mutex_);
        observer_.copies_begin(run, callback, destination, files, bytes);
    }
    void bytes_moved(const std::string& run, const std::string& callback, const std::string& path,
                     std::uint64_t bytes) override {
        const std::lock_guard lock(mutex_);
        observer_.bytes_moved(run, callback, path, bytes);
    }
    void file_done(const std::string& run, const std::string& callback, const std::string& path, std::uint64_t bytes,
                   const Delivery& delivery) override {
        const std::lock_guard lock(mutex_);
        observer_.file_done(run, callback, path, bytes, delivery);
    }
    void copies_end(const std::string& run, const std::string& callback, const std::string& destination,
                    const Delivery& delivery) override {
        const std::lock_guard lock(mutex_);
        observer_.copies_end(run, callback, destination, delivery);
    }
    void message_done(const std::string& run, const std::string& callback, const std::string& kind,
                      const Delivery& delivery) override {
        const std::lock_guard lock(mutex_);
        observer_.message_done(run, callback, kind, delivery);
    }
    void held(const std::string& run, const std::string& callback) override {
        const std::lock_guard lock(mutex_);
        observer_.held(run, callback);
    }

private:
    SyncObserver& observer_;
    std::mutex mutex_;
};

// The active callbacks that some run of the job has queued something for.
std::vector<const CallbackEntry*> callbacks_of(const Store& store, const Settings& settings, const SyncJob& job) {
    std::vector<std::string> names;
    for (const auto& id : job.runs)
        for (auto& name : Outbox(store.run_dir(id)).callbacks()) names.push_back(std::move(name));
    std::vector<const CallbackEntry*> entries;
    for (const auto* entry : registry()) {
        const auto is = [&](const std::string& name) { return name == entry->name; };
        const bool asked_for = job.callbacks.empty() || std::any_of(job.callbacks.begin(), job.callbacks.end(), is);
        if (asked_for && std::any_of(names.begin(), names.end(), is) && activation_of(*entry, settings).on)
            entries.push_back(entry);
    }
    return entries;
}

} // namespace

void add(SyncResult& sum, const SyncResult& more) {
    sum.delivered += more.delivered;
    sum.passing += more.passing;
    sum.failed += more.failed;
    sum.held += more.held;
    if (more.next_try) sum.next_try = sum.next_try ? std::min(*sum.next_try, *more.next_try) : *more.next_try;
}

SyncResult sync_once(const Store& store, const Settings& settings, const SyncJob& job, SyncObserver& observer) {
    Serialized told(observer);
    const auto entries = callbacks_of(store, settings, job);
    std::vector<Courier> couriers;
    for (const auto* entry : entries)
        if (entry->hooks.deliver) couriers.emplace_back(store, settings, *entry, job);
    std::vector<SyncResult> shares(entries.size() + couriers.size());
    {
        std::vector<std::jthread> threads;
        std::size_t share = 0;
        for (auto& courier : couriers)
            threads.emplace_back([&, &result = shares[share++]] { courier.follow(job.cancelled, told, result); });
        for (const auto* entry : entries)
            if (entry->hooks.remote)
                threads.emplace_back([&, entry, &result = shares[share++]] {
                    try {
                        result = copy_runs(store, settings, *entry, job, told);
                    } catch (const std::exception& error) { // its settings, or no memory
                        ++result.passing;
                        told.copies_end(job.runs.front(), entry->name, "its place", Delivery::passing(error.what()));
                    }
                });
    }
    SyncResult sum;
    for (const auto& share : shares) add(sum, share);
    return sum;
}

namespace {

struct Waiting {
    std::size_t messages = 0, files = 0;
    std::string why;
    bool failed = false;

    bool none() const { return messages + files == 0; }
};

Waiting what_waits(const Store& store, const std::string& id, const Settings& settings) {
    Waiting all;
    for (const auto& pending : pending_of(store, id, settings)) {
        all.messages += pending.messages.size();
        all.files += pending.files.size() + (pending.manifest_due ? 1 : 0);
        all.failed = all.failed || pending.failed();
        if (pending.copies_due() && !pending.copying.error.empty()) all.why = pending.copying.error;
        for (const auto& message : pending.messages)
            if (!message.state.error.empty()) all.why = message.state.error;
        if (!pending.on && !pending.empty()) all.why = pending.callback + " is off: " + pending.off_reason;
    }
    return all;
}

} // namespace

bool settle_pending(const Store& store, const std::string& id, const Settings& settings) {
    Waiting all = what_waits(store, id, settings);
    const bool goes_on = store.is_active(id);
    if (all.none() && !goes_on) {
        store.put_pending_aside(id);
        all = what_waits(store, id, settings); // what was queued meanwhile; from now on it is marked anew
        if (all.none()) {
            store.unmark_pending(id);
            store.take_untold(id);
            return false;
        }
    }
    store.note_pending(id,
                       {{"messages", all.messages}, {"files", all.files}, {"why", all.why}, {"failed", all.failed}});
    store.unmark_pending(id); // the one put aside, perhaps long ago by a process that was killed
    return !all.none();
}

} // namespace poster
