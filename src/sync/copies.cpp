#include "copies.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <lease.hpp>
#include <records.hpp>
#include <sha256.hpp>
#include <text.hpp>

#include "backoff.hpp"
#include "confined.hpp"
#include "hashing.hpp"
#include "manifest.hpp"
#include "pending.hpp"
#include "place.hpp"

namespace poster {

namespace {

using Stage = DeliveryState::Stage;

// Of a run that goes on: what was written this moment, and the growing log of a long run, come with its end.
constexpr std::chrono::seconds kStillWritten{2};
constexpr std::uint64_t kMostWhileRunning = 16 << 20;
// Of a file, by rounds that failed one after the other. The oldest are the least likely to be what is there.
constexpr std::size_t kMostComing = 8;

std::string remote_path(const LocalFile& file, const std::string& run) {
    return fmt::format("runs/{}/{}", run, file.path);
}

// Changed: it is gone, shorter, or something else by now; the next round sees what it is then.
struct Look {
    bool changed = false;
    int error = 0; // it cannot be read
};

Look look_at(const fs::path& path, std::uint64_t bytes) {
    const Fd file = open_regular(path);
    if (!file) {
        const bool other = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO || errno == EINVAL;
        return {other, other ? 0 : errno};
    }
    struct stat facts{};
    if (::fstat(file.get(), &facts) != 0) return {false, errno};
    return {std::uint64_t(facts.st_size) < bytes, 0};
}

std::string digest_of(const std::vector<LocalFile>& files) {
    std::string text;
    for (const auto& file : files) text += fmt::format("{}\n{} {}\n", file.path, file.bytes, file.modified_ns);
    return sha256_hex(text);
}

// One run at one destination, under its lease.
class RunCopies : private Progress {
public:
    RunCopies(const Store& store, std::string id, const Settings& settings, const std::string& callback, Remote& remote,
              const SyncJob& job, SyncObserver& observer, Lease& lease)
        : store_(store), id_(std::move(id)), settings_(settings), callback_(callback), remote_(remote),
          destination_(remote.destination()), job_(job), observer_(observer), lease_(lease),
          dir_(resolved(store.run_dir(id_))), outbox_(dir_), notes_(outbox_, callback),
          draft_(outbox_.dir() / fmt::format("{}.{}", callback, kManifestName)) {}

    SyncResult bring_up_to_date() {
        OutboxView view = outbox_.view(callback_);
        known_ = view.copies[destination_];
        add_coming(manifest_from_json(read_file(draft_).value_or("")));
        const DeliveryState before = view.copying[destination_];
        std::vector<LocalFile> files = not_copied_yet(files_to_copy(dir_, settings_), known_);
        if (store_.is_active(id_)) leave_out_what_is_written(files);
        const bool due = !files.empty() || before.receipt != digest_of(manifest());
        if (due && waits(before, digest_of(files))) return result_;
        if (due) look_for_others();
        if (!trouble_.error.empty())
            observer_.copies_begin(id_, callback_, destination_, files.size(), 0);
        else if (!files.empty())
            send(files);
        // Also where something else is in trouble: nobody may find a manifest beside files that it does not tell of.
        const bool reachable = trouble_.error.empty() || result_.delivered > 0 || refused_here_ > 0;
        if (reachable && !cancelled() && before.receipt != digest_of(manifest())) put_manifest(Sending::manifest);
        settle(before, files);
        return result_;
    }

private:
    struct Batch {
        std::vector<RemoteFile> sending;
        std::vector<LocalFile> local; // the same files
    };
    enum class Sending { files, announcement, manifest };

    // For the user, or for its time. `left`: the digest of what is to be sent; where others went through it is other
    // files that the user was asked about.
    bool waits(const DeliveryState& before, const std::string& left) {
        const bool about_these = before.receipt.empty() || before.receipt == left;
        const bool for_the_user = before.stage == Stage::failed && about_these && !job_.retry_failed;
        const bool for_its_time = before.stage == Stage::retry && job_.only_due && before.next_try > wall_now();
        if (for_the_user) ++result_.failed;
        if (for_its_time) {
            ++result_.passing;
            result_.next_try = before.next_try;
        }
        return for_the_user || for_its_time;
    }

    void moved(std::size_t file, std::uint64_t bytes) override {
        observer_.bytes_moved(id_, callback_, local_of(file).path, bytes);
    }

    void done(std::size_t file, const Delivery& delivery) override {
        const LocalFile& local = local_of(file);
        // Nothing is wrong: the next round sees what there is of it by then.
        if (delivery.state == Delivery::State::retry && look_at(sending_[file].local, sending_[file].bytes).changed)
            return;
        if (delivery.state == Delivery::State::delivered) {
            const Copy copy{local.bytes, local.modified_ns, sending_[file].sha256.get(), delivery.receipt};
            try {
                if (what_ == Sending::files) notes_.copied(destination_, local.path, copy);
            } catch (const Error& error) { // a full disk here: no remote is to blame
                return note_trouble(Delivery::passing(error.what()));
            }
            const std::lock_guard lock(mutex_);
            if (what_ == Sending::files) {
                known_[local.path] = copy;
                theirs_.erase(local.path);
                coming_.erase(local.path);
            }
            if (what_ == Sending::announcement)
                announced_ = true; // which alone brings nobody nearer to the end
            else
                ++result_.delivered;
        } else {
            const std::lock_guard lock(mutex_);
            ++(delivery.state == Delivery::State::retry ? result_.passing : result_.failed);
            // What waits for the user counts more than what passes.
            if (trouble_.error.empty() ||
                (trouble_.state == Delivery::State::retry && delivery.state == Delivery::State::failed))
                trouble_ = delivery;
        }
        if (what_ == Sending::files) observer_.file_done(id_, callback_, local.path, local.bytes, delivery);
    }

    // Asked often by whatever takes long: the lease lives on it.
    bool cancelled() const override {
        if (job_.cancelled && job_.cancelled()) return true;
        return !lease_.keep();
    }

    int jobs() const override { return job_.jobs; }

    const LocalFile& local_of(std::size_t file) const { return local_[file]; }

    void leave_out_what_is_written(std::vector<LocalFile>& files) const {
        const auto now = wall_now().time_since_epoch();
        std::erase_if(files, [&](const LocalFile& file) {
            const bool growing = file.path.starts_with("attempts/") && file.bytes > kMostWhileRunning;
            return growing || now - std::chrono::nanoseconds(file.modified_ns) < kStillWritten;
        });
    }

    // Those whose content may be known are hashed first, as that decides whether they are sent; the others while they
    // are on their way.
    void send(std::vector<LocalFile> files) {
        std::erase_if(files, [&](const LocalFile& file) { return is_left_out(file); });
        std::stable_partition(files.begin(), files.end(), [&](const auto& file) { return may_be_known(file); });
        std::vector<ToHash> to_hash;
        for (const auto& file : files) to_hash.push_back({dir_ / file.path, file.bytes});
        const Hashing hashing(std::move(to_hash), [this] { return cancelled(); });
        Batch fresh, replacing;
        std::uint64_t bytes = 0;
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (may_be_known(files[i]) && was_touched_only(files[i], hashing.of(i).get())) continue;
            const bool is_there = known_.contains(files[i].path) || theirs_.contains(files[i].path);
            Batch& batch = is_there ? replacing : fresh;
            batch.sending.push_back({remote_path(files[i], id_), dir_ / files[i].path, files[i].bytes, hashing.of(i)});
            batch.local.push_back(files[i]);
            bytes += files[i].bytes;
        }
        observer_.copies_begin(id_, callback_, destination_, fresh.local.size() + replacing.local.size(), bytes);
        put(std::move(fresh));
        if (nothing_goes_through() || replacing.sending.empty()) return;
        // Whoever dies among them, or before the manifest after them, leaves one that tells of either.
        if (announce(replacing)) put(std::move(replacing));
    }

    bool announce(const Batch& replacing) {
        for (std::size_t i = 0; i < replacing.sending.size(); ++i) {
            const auto& [path, bytes, modified_ns] = replacing.local[i];
            const std::string sha256 = replacing.sending[i].sha256.get();
            if (sha256.empty()) continue; // it will not arrive
            auto& coming = coming_[path];
            std::erase_if(coming, [&](const Copy& copy) { return copy.sha256 == sha256; });
            if (coming.size() == kMostComing) coming.erase(coming.begin());
            coming.push_back({bytes, modified_ns, sha256, {}});
        }
        put_manifest(Sending::announcement);
        return announced_;
    }

    bool is_known(const std::string& path, const Copy& copy) const {
        const auto known = known_.find(path);
        return known != known_.end() && known->second.sha256 == copy.sha256;
    }

    // Of what was coming, this is what has come, and this store has brought it.
    bool has_come(const std::string& path, const Manifest& manifest) const {
        const auto coming = manifest.coming.find(path);
        return coming != manifest.coming.end() && std::any_of(coming->second.begin(), coming->second.end(),
                                                              [&](const Copy& copy) { return is_known(path, copy); });
    }

    // What earlier rounds may have brought there, of which no note tells.
    void add_coming(const std::optional<Manifest>& left) {
        if (!left) return;
        for (const auto& [path, coming] : left->coming)
            if (!has_come(path, *left)) coming_.insert({path, coming});
    }

    // What another store has brought there: this one may be a copy of a run that went on elsewhere, or the reverse.
    // Where there is no manifest, or it may not be read, nobody has.
    void look_for_others() {
        const ManifestThere there =
            manifest_at(remote_, id_, outbox_.dir() / fmt::format(".{}.{}.tmp", callback_, kManifestName));
        if (there.trouble.state == Delivery::State::retry) return note_trouble(there.trouble);
        if (!there.manifest) return;
        add_coming(there.manifest);
        for (const auto& [path, copy] : there.manifest->files) {
            if (!is_confined(path) || stays_here(path) || is_known(path, copy) || has_come(path, *there.manifest))
                continue;
            const auto known = known_.find(path);
            // An older one may have come later all the same: both are told.
            if (known != known_.end() && copy.modified_ns < known->second.modified_ns)
                coming_[path].push_back(copy);
            else
                theirs_[path] = copy;
        }
    }

    bool is_older_than_theirs(const LocalFile& file) const {
        const auto theirs = theirs_.find(file.path);
        return theirs != theirs_.end() && file.modified_ns < theirs->second.modified_ns;
    }

    bool nothing_goes_through() const { return trouble_.state == Delivery::State::retry && result_.delivered == 0; }

    bool is_left_out(const LocalFile& file) {
        if (valid_utf8(file.path) != file.path) {
            refuse(file, Delivery::permanent("the name of " + valid_utf8(file.path) + " is not UTF-8",
                                             "rename it, or leave it out with [upload] exclude"));
            return true;
        }
        if (is_older_than_theirs(file)) {
            refuse(file, Delivery::permanent("the copy of " + file.path + " is newer, and from another machine",
                                             "move this one away to fetch that one, or touch it to replace that one"));
            return true;
        }
        const Look look = look_at(dir_ / file.path, file.bytes);
        if (look.error != 0) refuse(file, cannot_read(file, look.error));
        return look.changed || look.error != 0;
    }

    bool may_be_known(const LocalFile& file) const {
        const auto known = known_.find(file.path);
        return known != known_.end() && known->second.bytes == file.bytes && !coming_.contains(file.path) &&
               !theirs_.contains(file.path);
    }

    bool was_touched_only(const LocalFile& file, const std::string& sha256) {
        Copy& known = known_[file.path];
        if (known.sha256 != sha256) return false;
        known.modified_ns = file.modified_ns;
        notes_.copied(destination_, file.path, known);
        return true;
    }

    static Delivery cannot_read(const LocalFile& file, int error) {
        const std::string why = fmt::format("cannot read {}: {}", file.path, std::generic_category().message(error));
        if (error != EACCES && error != EPERM) return Delivery::passing(why);
        return Delivery::permanent(why, "make it readable, or leave it out with [upload] exclude");
    }

    // It cannot be sent, whatever the remote says.
    void refuse(const LocalFile& file, const Delivery& refusal) {
        ++(refusal.state == Delivery::State::retry ? result_.passing : result_.failed);
        ++refused_here_;
        if (trouble_.error.empty() || refusal.state == Delivery::State::failed) trouble_ = refusal;
        observer_.file_done(id_, callback_, valid_utf8(file.path), file.bytes, refusal);
    }

    void put(Batch batch) {
        sending_ = std::move(batch.sending);
        local_ = std::move(batch.local);
        if (sending_.empty() || cancelled()) return;
        try {
            remote_.put(sending_, *this);
        } catch (const Error& error) {
            note_trouble({Delivery::State::retry, {}, error.what(), error.help(), {}});
        } catch (const std::exception& error) {
            note_trouble(Delivery::passing(error.what()));
        }
    }

    void note_trouble(const Delivery& delivery) {
        const std::lock_guard lock(mutex_);
        ++result_.passing;
        if (trouble_.error.empty()) trouble_ = delivery;
    }

    Manifest manifest() const { return {known_}; }

    // It stays here as long as it tells of what is coming: a later round has to go on telling it.
    void put_manifest(Sending what) {
        Manifest whole{known_, coming_};
        for (const auto& [path, copy] : theirs_) whole.files[path] = copy;
        const std::string text = to_json(whole);
        replace_file(draft_, text, coming_.empty() ? Durability::page_cache : Durability::disk);
        what_ = what;
        put({{{manifest_path(id_), draft_, text.size(), sha256_hex(text)}}, {{kManifestName, text.size(), 0}}});
        what_ = Sending::files;
        if (coming_.empty()) ::unlink(draft_.c_str());
    }

    void settle(const DeliveryState& before, const std::vector<LocalFile>& files) {
        const bool changed = !files.empty() || before.stage != Stage::delivered;
        const bool stopped = cancelled();
        if (stopped && trouble_.error.empty()) return; // nothing is wrong with it
        Delivery whole = trouble_.error.empty() ? Delivery::arrived(digest_of(manifest())) : trouble_;
        if (whole.state == Delivery::State::failed && (result_.delivered > 0 || refused_here_ > 0))
            whole.receipt = digest_of(not_copied_yet(files, known_));
        const int tries = trouble_.error.empty() ? 0 : before.tries + 1;
        const WallTime next = wall_now() + wait_after(std::max(tries, 1), whole.retry_after);
        if (whole.state == Delivery::State::retry) result_.next_try = next;
        if (changed || before.receipt != whole.receipt) notes_.copying(destination_, whole, tries, next);
        observer_.copies_end(id_, callback_, destination_, whole);
    }

    const Store& store_;
    std::string id_;
    const Settings& settings_;
    const std::string& callback_;
    Remote& remote_;
    std::string destination_;
    const SyncJob& job_;
    SyncObserver& observer_;
    Lease& lease_;
    fs::path dir_; // of the run, with no link in it, as none is followed
    Outbox outbox_;
    OutboxNotes notes_;
    fs::path draft_; // of the manifest

    std::vector<RemoteFile> sending_;
    std::vector<LocalFile> local_; // the same files
    Sending what_ = Sending::files;
    bool announced_ = false;
    std::size_t refused_here_ = 0;
    std::mutex mutex_; // of what follows
    std::map<std::string, Copy> known_, theirs_;
    Coming coming_;
    SyncResult result_;
    Delivery trouble_; // its error empty: none
};

SyncResult copy_run(const Store& store, const std::string& id, const Settings& settings, const CallbackEntry& entry,
                    Remote& remote, const SyncJob& job, SyncObserver& observer) {
    SyncResult result;
    const Outbox outbox(store.run_dir(id));
    if (!outbox.exists() || !outbox.view(entry.name).copies_wanted) return result;
    auto lease = lease_of_copies(outbox, entry.name);
    if (lease) return RunCopies(store, id, settings, entry.name, remote, job, observer, *lease).bring_up_to_date();
    ++result.held;
    observer.held(id, entry.name);
    return result;
}

} // namespace

SyncResult copy_runs(const Store& store, const Settings& settings, const CallbackEntry& entry, const SyncJob& job,
                     SyncObserver& observer) {
    SyncResult sum;
    const auto callback = entry.create(settings);
    const auto remote = callback->remote();
    for (const auto& id : job.runs) {
        if (job.cancelled && job.cancelled()) break;
        try {
            add(sum, copy_run(store, id, settings, entry, *remote, job, observer));
        } catch (const Error& error) { // a full disk, or something odd in place of the outbox: other runs go on
            ++sum.passing;
            observer.copies_end(id, entry.name, remote->destination(),
                                {Delivery::State::retry, {}, error.what(), error.help(), {}});
        }
    }
    return sum;
}

} // namespace poster
