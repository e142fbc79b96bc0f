#include "fetch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>

#include "confined.hpp"
#include "pending.hpp"

namespace poster {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kHashDigits = 64;
constexpr mode_t kFileMode = 0600;

timespec time_of(std::int64_t ns) {
    timespec time{};
    time.tv_nsec = (ns % kSecond + kSecond) % kSecond;
    time.tv_sec = (ns - time.tv_nsec) / kSecond;
    return time;
}

bool is_hash(const std::string& text) {
    return text.size() == kHashDigits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

class Fetching : private Progress {
public:
    Fetching(const fs::path& dir, const std::string& run, const Place& place, int jobs, Lease& lease,
             SyncObserver& observer)
        : dir_(dir), run_(run), place_(place), jobs_(jobs), lease_(lease), observer_(observer), confined_(dir),
          scratch_(dir) {}

    Fetched fetch(const Manifest& manifest) {
        for (const auto& [path, copy] : manifest.files) {
            const auto found = manifest.coming.find(path);
            std::vector<Copy> coming = found == manifest.coming.end() ? std::vector<Copy>{} : found->second;
            std::erase_if(coming, [](const Copy& one) { return !is_hash(one.sha256); });
            sort_out(path, copy, coming);
        }
        std::uint64_t bytes = 0;
        for (const auto& file : wanted_) bytes += file.bytes;
        observer_.copies_begin(run_, place_.callback, place_.destination, wanted_.size(), bytes);
        while (!wanted_.empty()) {
            get();
            // Where the place as a whole is in trouble, one file tells for all.
            for (const auto& file : files_)
                if (file.end == End::none)
                    result_.left[file.path] = trouble_.value_or(Delivery::passing("it gave no answer"));
            turn_to_what_was_coming();
        }
        return std::move(result_);
    }

private:
    enum class End { none, another, told }; // another: what is there is not that
    struct File {
        std::string path; // below the run directory
        Copy copy;
        std::vector<Copy> coming; // it may be one of these instead
        End end = End::none;
    };

    // Whether it is here already, or may be fetched.
    void sort_out(const std::string& path, const Copy& copy, const std::vector<Copy>& coming) {
        try {
            if (!is_confined(path) || stays_here(path) || !is_hash(copy.sha256))
                return leave(path, Delivery::permanent("the manifest has it, and no run can: it is left alone", ""));
            const auto facts = confined_.look(path);
            const auto stands_here = [&](const Copy& other) { return is_same(path, other, *facts); };
            if (!facts) {
                want({path, copy, coming});
            } else if (is_same(path, copy, *facts)) {
                Copy here = copy;
                here.modified_ns = modified_ns(*facts);
                result_.here[path] = here;
            } else if (std::none_of(coming.begin(), coming.end(), stands_here)) {
                leave(path, Delivery::permanent("the one here differs from the copy and is kept",
                                                "move it away to fetch the other"));
            }
        } catch (const Error& error) {
            leave(path, Delivery::permanent(error.what(), error.help()));
        }
    }

    void want(File file) {
        wanted_.push_back({fmt::format("runs/{}/{}", run_, file.path),
                           scratch_.path() / fmt::format(".{}.tmp", wanted_.size()), file.copy.bytes,
                           file.copy.sha256});
        files_.push_back(std::move(file));
    }

    // Of files that whoever brought them there did not live to tell of.
    void turn_to_what_was_coming() {
        wanted_.clear();
        for (auto& file : std::exchange(files_, {})) {
            if (file.end != End::another) continue;
            file.copy = file.coming.back(); // the newest first
            file.coming.pop_back();
            want({file.path, file.copy, std::move(file.coming)});
        }
    }

    bool is_same(const std::string& path, const Copy& copy, const struct stat& facts) const {
        if (!S_ISREG(facts.st_mode) || std::uint64_t(facts.st_size) != copy.bytes) return false;
        return modified_ns(facts) == copy.modified_ns || sha256_of_file(dir_ / path) == copy.sha256;
    }

    void leave(const std::string& path, const Delivery& why) {
        result_.left[path] = why;
        observer_.file_done(run_, place_.callback, path, 0, why);
    }

    void get() {
        try {
            place_.remote->get(wanted_, *this);
        } catch (const Error& error) {
            note_trouble({Delivery::State::retry, {}, error.what(), error.help(), {}});
        } catch (const std::exception& error) {
            note_trouble(Delivery::passing(error.what()));
        }
    }

    void note_trouble(const Delivery& trouble) {
        const std::lock_guard lock(mutex_);
        if (!trouble_) trouble_ = trouble;
    }

    void moved(std::size_t file, std::uint64_t bytes) override {
        const std::lock_guard lock(mutex_);
        observer_.bytes_moved(run_, place_.callback, files_[file].path, bytes);
    }

    void done(std::size_t file, const Delivery& delivery) override {
        Delivery end = delivery;
        if (delivery.state == Delivery::State::delivered) {
            try {
                put_in_place(file);
            } catch (const Error& error) {
                end = Delivery::permanent(error.what(), error.help());
            }
        }
        const std::lock_guard lock(mutex_);
        File& it = files_[file];
        if (delivery.state == Delivery::State::failed && !it.coming.empty()) {
            it.end = End::another;
            return;
        }
        it.end = End::told;
        if (end.state == Delivery::State::delivered) {
            result_.here[it.path] = it.copy;
            ++result_.files;
            result_.bytes += wanted_[file].bytes;
        } else {
            result_.left[it.path] = end;
            if (!trouble_) trouble_ = end;
        }
        observer_.file_done(run_, place_.callback, it.path, wanted_[file].bytes, end);
    }

    void put_in_place(std::size_t index) {
        const RemoteFile& file = wanted_[index];
        const std::string& path = files_[index].path;
        Copy& copy = files_[index].copy;
        const Fd fetched{check_syscall("open what was fetched of " + path,
                                       ::open(file.local.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC))};
        struct stat facts{};
        check_syscall("look at " + file.local.native(), ::fstat(fetched.get(), &facts));
        if (!S_ISREG(facts.st_mode) || std::uint64_t(facts.st_size) != file.bytes)
            throw Error("it did not come whole: " + path);
        check_syscall("set the mode of " + file.local.native(), ::fchmod(fetched.get(), kFileMode));
        const timespec times[2] = {time_of(copy.modified_ns), time_of(copy.modified_ns)};
        check_syscall("set the time of " + file.local.native(), ::futimens(fetched.get(), times));
        if (!confined_.place(file.local, path))
            throw Error("another file of that name was made meanwhile, and is kept");
        check_syscall("look at " + path, ::fstat(fetched.get(), &facts));
        copy.modified_ns = modified_ns(facts); // as exact as this file system has it
    }

    // Asked often by whatever takes long: the lease lives on it.
    bool cancelled() const override { return !lease_.keep(); }

    int jobs() const override { return jobs_; }

    const fs::path& dir_;
    const std::string& run_;
    const Place& place_;
    int jobs_;
    Lease& lease_;
    SyncObserver& observer_;
    Confined confined_;
    Scratch scratch_;

    std::vector<RemoteFile> wanted_;
    std::mutex mutex_;        // of what follows, and of the observer
    std::vector<File> files_; // those of wanted_
    std::optional<Delivery> trouble_;
    Fetched result_;
};

} // namespace

Fetched fetch_files(const fs::path& dir, const std::string& run, const Place& place, const Manifest& wanted, int jobs,
                    Lease& lease, SyncObserver& observer) {
    Scratch::remove_left_behind(dir); // by one that was killed, and held the lease before
    return Fetching(dir, run, place, jobs, lease, observer).fetch(wanted);
}

void note_fetched(const fs::path& dir, const Place& place, const std::map<std::string, Copy>& files) {
    const Outbox outbox(dir);
    const auto known = outbox.view(place.callback).copies[place.destination];
    const auto is_new = [&](const auto& file) {
        const auto found = known.find(file.first);
        return found == known.end() || found->second.bytes != file.second.bytes ||
               found->second.modified_ns != file.second.modified_ns || found->second.sha256 != file.second.sha256;
    };
    if (std::none_of(files.begin(), files.end(), is_new)) return;
    // Held: a sync is at it, which finds out by itself that they are there.
    const auto lease = lease_of_copies(outbox, place.callback);
    if (!lease) return;
    OutboxNotes notes(outbox, place.callback);
    for (const auto& file : files)
        if (is_new(file)) notes.copied(place.destination, file.first, file.second);
}

} // namespace poster
