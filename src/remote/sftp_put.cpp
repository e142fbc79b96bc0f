#include "sftp_put.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>
#include <text.hpp>

#include "cancelled.hpp"
#include "remote_path.hpp"
#include "sftp_read.hpp"

namespace poster {

namespace {

using sftp::Reply;
using sftp::Status;
using sftp::Type;
using sftp::Writer;

constexpr std::uint32_t kFileMode = 0600;
constexpr std::uint32_t kFolderMode = 0700;
constexpr std::uint64_t kBatchBytes = 64 << 20;
constexpr std::uint64_t kWorthResuming = 1 << 20;
constexpr std::uint64_t kHashedMeanwhile = 16 << 20; // while it is sent, from that size on
constexpr std::size_t kBlock = 256 << 10;

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

// A file on its way.
struct Sending {
    const RemoteFile* file = nullptr;
    std::size_t index = 0;                  // for the progress
    std::string target, folder, name, part; // the part lies in the folder by that name
    Fd local;
    std::optional<Delivery> verdict; // known already
    std::uint64_t there = 0;         // bytes of the part that are right already
    std::uint64_t next = 0;          // offset of the next piece
    std::uint64_t arrived = 0;       // bytes that the server has taken
    std::string handle;
    Status trouble = Status::ok; // what the server said no with
    std::optional<sftp::Attributes> target_facts, part_facts;

    bool goes_on() const { return !verdict && trouble == Status::ok; }
};

class Batch {
public:
    Batch(SshPlace& place, std::span<const RemoteFile> files, std::size_t first, Progress& progress,
          std::vector<bool>& told)
        : place_(place), session_(*place.session), progress_(progress), told_(told), files_(files.size()) {
        for (std::size_t i = 0; i < files.size(); ++i) prepare(files_[i], files[i], first + i);
    }

    void run() {
        look();
        compare_what_is_there();
        make_folders();
        begin_parts();
        open_parts();
        send();
        send_by_rsync();
        flush_and_close();
        explain_troubles();
        rename();
        for (auto& file : files_) tell(file);
    }

private:
    void prepare(Sending& sending, const RemoteFile& file, std::size_t index) {
        sending.file = &file;
        sending.index = index;
        try {
            remote_path_parts(file.path);
        } catch (const Error& error) {
            sending.verdict = Delivery::permanent(error.what(), error.help());
            return;
        }
        sending.target = place_.at(file.path);
        sending.local = open_regular(file.local);
        struct stat facts{};
        if (!sending.local || ::fstat(sending.local.get(), &facts) != 0) {
            sending.verdict = Delivery::passing(fmt::format("read {}: {}", file.local.native(), std::strerror(errno)));
            return;
        }
        sending.folder = folder_of(sending.target);
        // The same for the next try, so that it finds what this one leaves, but never for other content: a server that
        // has not noticed yet that a connection is gone may still write to what it has open. rsync writes what it has
        // found out about the part before, so no two of them share one.
        sending.name = by_rsync(sending)
                           ? fresh_part_name(file.path)
                           : part_name(fmt::format("{}\n{}\n{}", file.path, file.bytes, modified_ns(facts)));
        sending.part = sending.folder + "/" + sending.name;
    }

    bool by_rsync(const Sending& file) const { return place_.rsync != nullptr && file.file->bytes >= kWorthResuming; }

    static bool is_file(const std::optional<sftp::Attributes>& facts) {
        return facts && facts->is_file() && facts->size;
    }

    // Calls `act` for the files that go on.
    template <typename Act>
    void for_each(const Act& act) {
        for (auto& file : files_)
            if (file.goes_on()) act(file);
    }

    void look() {
        for_each([&](Sending& file) {
            session_.request(Type::lstat, Writer().text(file.target).take(), [&file](const Reply& reply) {
                if (reply.type == Type::attributes) file.target_facts = reply.attributes;
            });
            if (file.file->bytes < kWorthResuming || by_rsync(file)) return;
            session_.request(Type::lstat, Writer().text(file.part).take(), [&file](const Reply& reply) {
                if (reply.type == Type::attributes) file.part_facts = reply.attributes;
            });
        });
        session_.wait();
    }

    // What is at its place already, and how much of a part is the file's beginning.
    void compare_what_is_there() {
        std::vector<SshShell::Piece> pieces;
        std::vector<std::pair<Sending*, ContentHash>> expected; // hash of each piece
        for_each([&](Sending& file) {
            if (is_file(file.target_facts) && *file.target_facts->size == file.file->bytes) {
                pieces.push_back({file.target, file.file->bytes, false});
                expected.emplace_back(&file, file.file->sha256);
            } else if (is_file(file.part_facts) && *file.part_facts->size >= kWorthResuming &&
                       *file.part_facts->size <= file.file->bytes) {
                pieces.push_back({file.part, *file.part_facts->size, true});
                expected.emplace_back(&file, sha256_of_slice(file.local.get(), 0, *file.part_facts->size).value_or(""));
            }
        });
        if (pieces.empty()) return;
        const auto found = hashes_there(pieces);
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            if (found[i].empty() || found[i] != expected[i].second.get()) continue;
            Sending& file = *expected[i].first;
            progress_.moved(file.index, pieces[i].bytes);
            if (pieces[i].beginning)
                file.there = pieces[i].bytes;
            else
                file.verdict = Delivery::arrived();
        }
    }

    // Without a shell little is read, and much is sent again.
    std::vector<std::string> hashes_there(const std::vector<SshShell::Piece>& pieces) {
        if (place_.shell != nullptr) return place_.shell->hashes(pieces);
        std::vector<std::pair<std::string, std::uint64_t>> to_read;
        std::uint64_t bytes = 0;
        for (const auto& piece : pieces) {
            to_read.emplace_back(piece.path, piece.bytes);
            bytes += piece.bytes;
        }
        return bytes < kSoonReadBack ? sftp::hash_all(session_, to_read) : std::vector<std::string>(pieces.size());
    }

    // That they are there already is no error, and what else is shows when the files are opened.
    void make_folders() {
        for_each([&](Sending& file) { make_folder(file.folder); });
        session_.wait();
    }

    void make_folder(const std::string& folder) {
        if (folder == "/" || !place_.folders.insert(folder).second) return;
        make_folder(folder_of(folder));
        session_.request(Type::mkdir, Writer().text(folder).mode(kFolderMode).take(),
                         [this, folder](const Reply& reply) {
                             if (reply.status == Status::permission_denied) forbidden_ = folder;
                         });
    }

    // What rsync compares with.
    void begin_parts() {
        if (place_.rsync == nullptr || place_.shell == nullptr) return;
        std::vector<SshShell::Basis> parts;
        for_each([&](Sending& file) {
            if (by_rsync(file))
                parts.push_back(
                    {file.folder + "/" + beginning_of_fresh_part_names(file.file->path), file.target, file.part});
        });
        place_.shell->begin_parts(parts);
    }

    void open_parts() {
        for_each([&](Sending& file) {
            file.next = file.arrived = file.there;
            const bool goes_on = file.there > 0 || by_rsync(file);
            const std::uint32_t flags = sftp::kWrite | sftp::kCreate | (goes_on ? 0 : sftp::kTruncate);
            session_.request(Type::open, Writer().text(file.part).number(flags).mode(kFileMode).take(),
                             [&file](const Reply& reply) {
                                 file.handle = reply.text;
                                 if (reply.type != Type::handle) file.trouble = reply.status;
                             });
        });
        session_.wait();
        // Somebody may have removed a folder that was there.
        for (const auto& file : files_)
            if (file.trouble == Status::no_such_file) place_.folders.clear();
    }

    // The hash of a large file is worked out there while it is on its way.
    void hash_meanwhile() {
        const Sending& file = files_[0];
        if (place_.shell == nullptr || files_.size() != 1 || file.file->bytes < kHashedMeanwhile) return;
        if (!hashed_meanwhile_ && place_.shell->has_answered() && place_.shell->usable()) {
            place_.shell->hash_as_it_grows(file.part);
            hashed_meanwhile_ = true;
        }
        if (hashed_meanwhile_) place_.shell->has_grown_to(file.arrived);
    }

    void send() {
        std::size_t first = 0; // those before it have been sent
        session_.wait([&] {
            while (first < files_.size() && !send_piece(files_[first])) ++first;
            return first < files_.size();
        });
        if (hashed_meanwhile_ && !files_[0].goes_on()) place_.shell->hash_of_grown(); // of no use
    }

    // False: there is nothing more to send of it.
    bool send_piece(Sending& file) {
        if (!file.goes_on() || file.next == file.file->bytes || by_rsync(file)) return false;
        const std::size_t size = std::min<std::uint64_t>(session_.write_size(), file.file->bytes - file.next);
        const auto failed = [&file](int error) {
            const std::string& name = file.file->local.native();
            file.verdict =
                Delivery::passing(error != 0 ? fmt::format("read {}: {}", name, std::strerror(error))
                                             : fmt::format("{} is shorter than its {} bytes", name, file.file->bytes));
        };
        const auto take = [this, &file, size](const Reply& reply) {
            if (!reply.ok()) {
                file.trouble = reply.status;
                return;
            }
            file.arrived += size;
            progress_.moved(file.index, size);
            hash_meanwhile();
        };
        session_.write(file.handle, file.next, size, file.local.get(), failed, take);
        file.next += size;
        return true;
    }

    void send_by_rsync() {
        if (place_.rsync == nullptr) return;
        std::map<std::string, std::vector<Sending*>> by_folder;
        for_each([&](Sending& file) {
            if (by_rsync(file)) by_folder[file.folder].push_back(&file);
        });
        for (const auto& [folder, files] : by_folder) send_by_rsync(folder, files);
        session_.wait();
    }

    void send_by_rsync(const std::string& folder, const std::vector<Sending*>& files) {
        std::vector<RsyncFile> sent;
        for (const Sending* file : files) sent.push_back({file->local.get(), file->name, file->file->bytes});
        const auto moved = [&](std::size_t i, std::uint64_t bytes) { progress_.moved(files[i]->index, bytes); };
        std::string complaint;
        try {
            complaint = place_.rsync->bring(sent, folder, moved);
        } catch (const Error&) { // it will never go on with them
            for (const Sending* file : files) remove_part(*file);
            session_.wait();
            throw;
        }
        const bool full = complaint.find("No space left on device") != std::string::npos;
        for (Sending* file : files) {
            if (!complaint.empty()) { // the next try goes on with what has come
                file->verdict = Delivery::passing(place_.shown + ": " + complaint);
                if (full) remove_part(*file);
                continue;
            }
            file->arrived = file->file->bytes;
            // It may have grown since it was looked at.
            session_.request(Type::fsetstat, Writer().text(file->handle).size(file->arrived).take(),
                             [file](const Reply& reply) {
                                 if (!reply.ok()) file->trouble = reply.status;
                             });
        }
    }

    void remove_part(const Sending& file) {
        session_.request(Type::remove, Writer().text(file.part).take(), [](const Reply&) {});
    }

    // The hashes are worked out while the disk takes in what they are of.
    void flush_and_close() {
        if (session_.has("fsync@openssh.com"))
            for_each([&](Sending& file) {
                session_.request("fsync@openssh.com", Writer().text(file.handle).take(), [&file](const Reply& reply) {
                    if (!reply.ok()) file.trouble = reply.status;
                });
            });
        for (auto& file : files_)
            if (!file.handle.empty())
                session_.request(Type::close, Writer().text(file.handle).take(), [&file](const Reply& reply) {
                    if (!reply.ok() && file.trouble == Status::ok) file.trouble = reply.status;
                });
        session_.flush();
        const auto found = hash_parts();
        session_.wait();
        verify(found);
    }

    // By the shell; empty: it does not know. What is little is read back sooner than a login takes.
    std::vector<std::string> hash_parts() {
        std::vector<std::string> found(files_.size());
        std::vector<SshShell::Piece> pieces;
        std::vector<std::size_t> which;
        std::uint64_t bytes = 0;
        for (const auto& file : files_) bytes += file.file->bytes;
        if (place_.shell == nullptr || (bytes < kSoonReadBack && !place_.shell->has_answered())) return found;
        if (hashed_meanwhile_ && files_[0].goes_on()) found[0] = place_.shell->hash_of_grown();
        for (std::size_t i = 0; i < files_.size(); ++i) {
            if (!files_[i].goes_on() || (!found[i].empty() && found[i] == files_[i].file->sha256.get())) continue;
            pieces.push_back({files_[i].part, files_[i].file->bytes, false});
            which.push_back(i);
        }
        const auto hashes = place_.shell->hashes(pieces);
        for (std::size_t i = 0; i < which.size(); ++i) found[which[i]] = hashes[i];
        return found;
    }

    // Those that the shell does not know are read back.
    void verify(std::vector<std::string> found) {
        std::vector<std::pair<std::string, std::uint64_t>> to_read;
        std::vector<std::size_t> which;
        for (std::size_t i = 0; i < files_.size(); ++i)
            if (files_[i].goes_on() && found[i].empty()) {
                to_read.emplace_back(files_[i].part, files_[i].file->bytes);
                which.push_back(i);
            }
        const auto hashes = sftp::hash_all(session_, to_read);
        for (std::size_t i = 0; i < which.size(); ++i) found[which[i]] = hashes[i];
        for (std::size_t i = 0; i < files_.size(); ++i) {
            Sending& file = files_[i];
            if (!file.goes_on() || (!found[i].empty() && found[i] == file.file->sha256.get())) continue;
            if (progress_.cancelled()) throw Cancelled{}; // that may be why
            file.verdict =
                Delivery::passing(file.file->local.native() + " changed while it was sent, or did not arrive whole");
            remove_part(file);
        }
        session_.wait();
    }

    void explain_troubles() {
        for (auto& file : files_) {
            if (file.verdict || file.trouble == Status::ok) continue;
            const std::uint64_t missing = file.file->bytes - file.arrived;
            if (file.trouble == Status::failure && is_full(missing)) {
                file.verdict = Delivery::passing(place_.shown + ": write " + file.target + ": No space left on device");
                session_.ask(Type::remove, Writer().text(file.part).take()); // others may have room in its place
            } else {
                file.verdict = file.trouble == Status::no_such_file && !forbidden_.empty()
                                   ? explain_status(place_, Status::permission_denied, "make " + forbidden_)
                                   : explain_status(place_, file.trouble, "write " + file.target);
            }
        }
    }

    // SFTP has no word for it.
    bool is_full(std::uint64_t missing) {
        if (!session_.has("statvfs@openssh.com")) return false;
        const Reply reply = session_.ask("statvfs@openssh.com", Writer().text(place_.root).take());
        if (reply.type != Type::extended_reply) return false;
        sftp::Reader facts(reply.text);
        facts.big_number(); // the block that is best for reading
        const std::uint64_t unit = facts.big_number();
        facts.big_number(); // how many there are
        facts.big_number(); // how many root could still have
        return facts.big_number() * unit < missing + kBlock;
    }

    void rename() {
        std::set<std::string> folders;
        const bool replaces = session_.has("posix-rename@openssh.com");
        for_each([&](Sending& file) {
            const auto take = [&file](const Reply& reply) { file.trouble = reply.status; };
            const std::string names = Writer().text(file.part).text(file.target).take();
            if (replaces) {
                session_.request("posix-rename@openssh.com", names, take);
            } else {
                if (file.target_facts)
                    session_.request(Type::remove, Writer().text(file.target).take(), [](const Reply&) {});
                session_.request(Type::rename, names, take);
            }
            folders.insert(file.folder);
        });
        session_.wait();
        flush(folders);
        explain_troubles();
    }

    // What they list, to the disk. Some servers can open no folder: then the names are as safe as the host makes them.
    void flush(const std::set<std::string>& folders) {
        if (!session_.has("fsync@openssh.com")) return;
        for (const auto& folder : folders)
            session_.request(Type::open, Writer().text(folder).number(sftp::kRead).number(0).take(),
                             [this](const Reply& opened) {
                                 if (opened.type != Type::handle) return;
                                 const std::string handle = Writer().text(opened.text).take();
                                 session_.request("fsync@openssh.com", handle, [](const Reply&) {});
                                 session_.request(Type::close, handle, [](const Reply&) {});
                             });
        session_.wait();
    }

    void tell(Sending& file) {
        told_[file.index] = true;
        progress_.done(file.index, file.verdict.value_or(Delivery::arrived()));
    }

    SshPlace& place_;
    sftp::Session& session_;
    Progress& progress_;
    std::vector<bool>& told_;
    std::vector<Sending> files_;
    bool hashed_meanwhile_ = false;
    std::string forbidden_; // a folder that may not be made
};

} // namespace

std::size_t batch_size(std::span<const RemoteFile> files, const SshPlace& place) {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    while (count < files.size() && count < place.session->open_files()) {
        bytes += files[count].bytes;
        if (count > 0 && bytes > kBatchBytes) break;
        ++count;
    }
    return count;
}

void put_batch(SshPlace& place, std::span<const RemoteFile> files, std::size_t first, Progress& progress,
               std::vector<bool>& told) {
    Batch(place, files, first, progress, told).run();
}

Delivery explain_status(const SshPlace& place, sftp::Status status, const std::string& what) {
    const std::string tried = place.shown + ": " + what;
    switch (status) {
    case sftp::Status::no_such_file: return Delivery::passing(tried + ": No such file or directory");
    case sftp::Status::permission_denied:
        return Delivery::permanent(tried + ": Permission denied",
                                   "the account must be allowed to write below " + place.root);
    default: return Delivery::passing(tried + ": the server says only that it failed");
    }
}

} // namespace poster
