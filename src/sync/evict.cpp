#include "evict.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
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

class Evicting {
public:
    Evicting(const fs::path& dir, const std::string& run, const Place& place, const EvictionRules& rules)
        : dir_(dir), run_(run), place_(place), rules_(rules), outbox_(dir), confined_(dir) {}

    Evictions evict() {
        collect();
        confirm();
        if (rules_.dry_run) {
            for (const auto& [path, file] : confirmed_) count(file.copy);
            return std::move(result_);
        }
        outbox_.note_evicted(confirmed_);
        for (const auto& [path, file] : confirmed_) take_away(path, file.copy);
        return std::move(result_);
    }

private:
    // What the rules mean, is as it was delivered, and has the content that was delivered.
    void collect() {
        const auto latest = wall_now() - rules_.older;
        OutboxView view = outbox_.view(place_.callback);
        for (const auto& [path, copy] : view.copies[place_.destination]) {
            if (!is_confined(path) || !is_evictable(path) || copy.bytes < rules_.larger) continue;
            if (std::chrono::nanoseconds(copy.modified_ns) > latest.time_since_epoch()) continue;
            if (!is_here_as_delivered(path, copy)) continue; // gone, or yet to be delivered
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
        }
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

    const fs::path& dir_;
    const std::string& run_;
    const Place& place_;
    const EvictionRules& rules_;
    Outbox outbox_;
    Confined confined_;
    std::vector<RemoteFile> files_;
    std::vector<std::string> paths_; // the same files
    std::vector<Copy> copies_;
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

Evictions evict(const fs::path& dir, const std::string& run, const Place& place, const EvictionRules& rules) {
    return Evicting(dir, run, place, rules).evict();
}

} // namespace poster
