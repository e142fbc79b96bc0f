#include "evict.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <lease.hpp>
#include <sha256.hpp>

#include "confined.hpp"
#include "pending.hpp"

namespace poster {

namespace {

// What the remote says to each file.
class Answers : public Progress {
public:
    Answers(std::size_t files, int jobs) : answers_(files), jobs_(jobs) {}

    void moved(std::size_t, std::uint64_t) override {}
    void done(std::size_t file, const Delivery& delivery) override {
        const std::lock_guard lock(mutex_);
        answers_[file] = delivery;
    }
    bool cancelled() const override { return false; }
    int jobs() const override { return jobs_; }

    // Where the place as a whole is in trouble, one file tells for all.
    Delivery of(std::size_t file) const {
        if (const auto& answer = answers_[file]) return *answer;
        for (const auto& answer : answers_)
            if (answer && answer->state == Delivery::State::retry) return *answer;
        return Delivery::passing("the remote gave no answer");
    }

private:
    std::mutex mutex_;
    std::vector<std::optional<Delivery>> answers_;
    int jobs_;
};

// A payload is its callback's own affair, most often JSON.
bool names(const std::string& payload, const std::string& path) {
    const std::string quoted = nlohmann::json(path).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return payload.find(path) != std::string::npos ||
           payload.find(quoted.substr(1, quoted.size() - 2)) != std::string::npos;
}

class Evicting {
public:
    Evicting(const Store& store, const std::string& run, const Settings& settings, const Place& place,
             const EvictionRules& rules)
        : store_(store), dir_(resolved(store.run_dir(run))), run_(run), settings_(settings), place_(place),
          rules_(rules), outbox_(dir_), confined_(dir_) {}

    Evictions evict() {
        collect();
        confirm();
        if (rules_.dry_run) {
            for (const auto& [path, file] : confirmed_) count(file.copy);
            return std::move(result_);
        }
        if (!lost_.empty()) note_lost();
        if (!confirmed_.empty()) take_away_confirmed();
        return std::move(result_);
    }

private:
    // By path, what is not to go yet: another place has yet to get it, or a message.
    std::map<std::string, Delivery> waited_for(const std::vector<std::string>& paths) const {
        std::map<std::string, Delivery> reasons;
        for (const auto& pending : pending_of(store_, run_, settings_)) {
            for (const auto& file : pending.files)
                reasons[file.path] = Delivery::passing("it has yet to be copied to " + pending.destination);
            for (const auto& message : pending.messages)
                for (const auto& path : paths)
                    if (names(message.entry.payload, path))
                        reasons[path] = Delivery::passing("a message that waits for " + pending.callback + " has it");
        }
        return reasons;
    }

    // What the rules mean, is as it was delivered, and has the content that was delivered.
    void collect() {
        const auto latest = wall_now() - rules_.older;
        OutboxView view = outbox_.view(place_.callback);
        auto& copies = view.copies[place_.destination];
        std::vector<std::string> paths;
        std::erase_if(copies, [&](const auto& file) {
            const auto& [path, copy] = file;
            const bool is_meant = is_confined(path) && is_evictable(path) && copy.bytes >= rules_.larger &&
                                  std::chrono::nanoseconds(copy.modified_ns) <= latest.time_since_epoch() &&
                                  is_here_as_delivered(path, copy); // else gone, or yet to be delivered
            if (is_meant) paths.push_back(path);
            return !is_meant;
        });
        if (copies.empty()) return;
        const auto reasons = waited_for(paths);
        for (const auto& [path, copy] : copies) {
            if (const auto reason = reasons.find(path); reason != reasons.end()) {
                result_.kept.insert(*reason);
                continue;
            }
            if (sha256_of_file(dir_ / path) != copy.sha256) {
                result_.kept[path] = Delivery::permanent(
                    "the one here differs from what was delivered, though its size and time do not", "");
                continue;
            }
            files_.push_back({fmt::format("runs/{}/{}", run_, path), dir_ / path, copy.bytes, copy.sha256});
            paths_.push_back(path);
            copies_.push_back(copy);
        }
    }

    bool is_here_as_delivered(const std::string& path, const Copy& copy) const {
        try {
            const auto facts = confined_.look(path);
            return facts && S_ISREG(facts->st_mode) && std::uint64_t(facts->st_size) == copy.bytes &&
                   modified_ns(*facts) == copy.modified_ns;
        } catch (const Error&) {
            return false; // behind a link that somebody has put in the place of a folder
        }
    }

    void confirm() {
        if (files_.empty()) return;
        Answers answers(files_.size(), rules_.jobs);
        Delivery trouble;
        try {
            place_.remote->verify(files_, answers);
        } catch (const Error& error) {
            trouble = {Delivery::State::retry, {}, error.what(), error.help(), {}};
        }
        for (std::size_t i = 0; i < files_.size(); ++i) {
            const Delivery answer = trouble.error.empty() ? answers.of(i) : trouble;
            if (answer.state == Delivery::State::delivered)
                confirmed_[paths_[i]] = {place_.callback, place_.destination, copies_[i]};
            else
                result_.kept[paths_[i]] = answer;
            if (answer.lost && !rules_.dry_run) {
                lost_.push_back(paths_[i]);
                result_.kept[paths_[i]].error += "; the next poster sync sends it again";
            }
        }
    }

    // The next sync sends them again. Where one is at work this moment, the next gc sees them again.
    void note_lost() const {
        const auto lease = lease_of_copies(outbox_, place_.callback);
        if (!lease) return;
        OutboxNotes notes(outbox_, place_.callback);
        for (const auto& path : lost_) notes.lost(place_.destination, path);
        store_.mark_pending(run_);
    }

    // Hashing and verifying may have taken hours: the run may go on by now, and need them.
    void take_away_confirmed() {
        auto lease = Lease::acquire(outbox_.dir() / "lease", "fetch");
        if (!lease) return keep_the_rest("another process fetches files of this run");
        if (!store_.has_ended(run_)) return keep_the_rest("the run goes on again");
        outbox_.note_evicted(confirmed_);
        while (!confirmed_.empty() && lease->keep() && store_.has_ended(run_)) {
            const auto file = confirmed_.extract(confirmed_.begin());
            take_away(file.key(), file.mapped().copy);
        }
        keep_the_rest("the run goes on again");
    }

    void keep_the_rest(const char* why) {
        for (const auto& file : confirmed_) result_.kept[file.first] = Delivery::passing(why);
    }

    void take_away(const std::string& path, const Copy& copy) {
        try {
            if (!is_here_as_delivered(path, copy)) return; // written to this moment
            confined_.remove(path);
            count(copy);
        } catch (const Error& error) {
            result_.kept[path] = Delivery::permanent(error.what(), error.help());
        }
    }

    void count(const Copy& copy) {
        ++result_.files;
        result_.bytes += copy.bytes;
    }

    const Store& store_;
    const fs::path dir_;
    const std::string& run_;
    const Settings& settings_;
    const Place& place_;
    const EvictionRules& rules_;
    Outbox outbox_;
    Confined confined_;
    std::vector<RemoteFile> files_;
    std::vector<std::string> paths_; // the same files
    std::vector<Copy> copies_;
    std::vector<std::string> lost_;
    std::map<std::string, Evicted> confirmed_;
    Evictions result_;
};

} // namespace

bool is_evictable(const std::string& path) {
    for (const char* folder : {"files/", "images/", "code/"})
        if (path.starts_with(folder)) return true;
    if (!path.starts_with("attempts/")) return false;
    const std::string rest = path.substr(std::min(path.size(), path.find('/', sizeof "attempts/" - 1)));
    return rest == "/output.log" || rest == "/output.idx" || rest.starts_with("/code/");
}

Evictions evict(const Store& store, const std::string& run, const Settings& settings, const Place& place,
                const EvictionRules& rules) {
    return Evicting(store, run, settings, place, rules).evict();
}

} // namespace poster
