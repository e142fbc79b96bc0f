#include "ssh_remote.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include <clock.hpp>
#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>

#include "cancelled.hpp"
#include "part_file.hpp"
#include "remote_path.hpp"
#include "sftp_read.hpp"

namespace poster {

namespace {

using sftp::Reply;
using sftp::Status;
using sftp::Type;
using sftp::Writer;

constexpr int kFarewellMs = 2000;
constexpr std::size_t kHashedAtOnce = 200;

std::string resolve(sftp::Session& session, const std::string& path) {
    if (path.starts_with('/')) return path;
    const Reply reply = session.ask(Type::realpath, Writer().text(".").take());
    if (reply.names.empty()) throw sftp::Lost{"the server does not say where a login begins"};
    const std::string& begin = reply.names.front().name;
    if (path == ".") return begin;
    return begin.ends_with('/') ? begin + path : begin + "/" + path;
}

// A file that is fetched.
struct Fetching {
    const RemoteFile* file = nullptr;
    std::size_t index = 0;
    Fd folder;
    std::unique_ptr<PartFile> part;
    Sha256 hash;
    std::optional<Delivery> verdict;
};

void begin(Fetching& fetching) {
    const auto& local = fetching.file->local;
    try {
        remote_path_parts(fetching.file->path);
        fetching.folder = Fd{check_syscall("open " + local.parent_path().native(),
                                           ::open(local.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
        fetching.part = std::make_unique<PartFile>(fetching.folder.get(), local);
    } catch (const SystemError& error) {
        fetching.verdict = Delivery::passing(error.what());
    } catch (const Error& error) {
        fetching.verdict = Delivery::permanent(error.what(), error.help());
    }
}

bool take(Fetching& fetching, std::string_view piece, Progress& progress) {
    if (fetching.verdict) return false;
    if (!write_all(fetching.part->fd(), piece)) {
        fetching.verdict = Delivery::passing("write " + fetching.file->local.native() + ": " + std::strerror(errno));
        return false;
    }
    fetching.hash.update(piece);
    progress.moved(fetching.index, piece.size());
    return true;
}

Delivery changed(const SshPlace& place, const std::string& path) {
    return Delivery::changed_at(place.shown + ": " + path);
}

Delivery end(Fetching& fetching, const sftp::Reading& reading, const SshPlace& place) {
    if (fetching.verdict) return *fetching.verdict;
    if (reading.status == Status::no_such_file)
        return Delivery::permanent(place.shown + ": " + reading.path + " is not there",
                                   "it was deleted, or never copied there");
    if (reading.status == Status::permission_denied)
        return explain_status(place, reading.status, "read " + reading.path);
    const ContentHash& expected = fetching.file->sha256;
    if (!reading.complete || (!expected.empty() && fetching.hash.hex() != expected.get()))
        return changed(place, reading.path);
    try {
        fetching.part->flush();
        fetching.part->put_in_place();
    } catch (const SystemError& error) {
        return Delivery::passing(error.what());
    }
    return Delivery::arrived();
}

} // namespace

struct SshRemote::Connection {
    std::unique_ptr<ChildProcess> program;
    std::unique_ptr<sftp::Session> session;
    std::unique_ptr<SshShell> shell;
    std::unique_ptr<Rsync> rsync;
    bool shell_tried = false;
    SshPlace place;

    ~Connection() {
        shell.reset();
        session.reset();
        if (program) program->finish(kFarewellMs);
    }
};

SshRemote::SshRemote(SshDestination to, const std::filesystem::path& config, Method method)
    : to_(std::move(to)), client_(to_, config), method_(method) {}

SshRemote::~SshRemote() = default;

std::string SshRemote::destination() const {
    return to_.url();
}

SshRemote::Connection& SshRemote::connect() {
    const auto check = [this] {
        if (progress_ != nullptr && progress_->cancelled()) throw Cancelled{};
    };
    if (connection_) {
        try { // the server may have ended it meanwhile
            connection_->session->ask(Type::realpath, Writer().text(".").take());
            return *connection_;
        } catch (const sftp::Lost&) {
            connection_.reset();
        }
    }
    connection_ = std::make_unique<Connection>();
    Connection& made = *connection_;
    made.program = client_.start_sftp();
    made.session = std::make_unique<sftp::Session>(*made.program, check);
    made.place.session = made.session.get();
    made.place.shown = to_.host;
    made.place.root = resolve(*made.session, to_.path);
    if (method_ == Method::rsync) {
        made.rsync = std::make_unique<Rsync>(client_, to_.host, check);
        made.place.rsync = made.rsync.get();
    }
    return made;
}

void SshRemote::open_shell(Connection& connection) {
    if (connection.shell_tried) return;
    connection.shell_tried = true;
    connection.shell = std::make_unique<SshShell>(client_.start_shell(), [this] {
        if (progress_ != nullptr && progress_->cancelled()) throw Cancelled{};
    });
    connection.place.shell = connection.shell.get();
}

Delivery SshRemote::why_lost(const sftp::Lost& lost) {
    const std::string shown = to_.host;
    if (!connection_ || !connection_->program) return Delivery::passing(shown + ": the connection was lost");
    const int code = connection_->program->finish(kFarewellMs);
    const std::string errors = connection_->program->errors();
    connection_->program.reset();
    if (!lost.reason.empty()) return Delivery::permanent(shown + ": " + lost.reason, "try: sftp " + shown);
    return explain_ssh(code, errors, shown);
}

template <typename Act>
void SshRemote::transfer(std::span<const RemoteFile> files, Progress& progress, const Act& act) {
    if (files.empty()) return;
    std::vector<bool> told(files.size());
    const auto tell_first = [&](const Delivery& delivery) {
        const auto index = std::size_t(std::find(told.begin(), told.end(), false) - told.begin());
        if (index < files.size()) progress.done(index, delivery);
    };
    progress_ = &progress;
    try {
        act(connect(), told);
    } catch (const Cancelled&) {
        connection_.reset();
    } catch (const sftp::Lost& lost) {
        tell_first(why_lost(lost));
        connection_.reset();
    } catch (const SystemError& error) { // of this machine: no descriptor, no process, no room for the note
        tell_first(Delivery::passing(error.what()));
        connection_.reset();
    } catch (const Error& error) {
        tell_first(Delivery::permanent(error.what(), error.help()));
        connection_.reset();
    } catch (...) { // what waits in the session speaks of files that are gone
        connection_.reset();
        progress_ = nullptr;
        throw;
    }
    progress_ = nullptr;
}

void SshRemote::put(std::span<const RemoteFile> files, Progress& progress) {
    transfer(files, progress, [&](Connection& connection, std::vector<bool>& told) {
        std::uint64_t bytes = 0;
        for (const auto& file : files) bytes += file.bytes;
        if (bytes >= kSoonReadBack || method_ == Method::rsync) open_shell(connection);
        for (std::size_t first = 0; first < files.size();) {
            const std::size_t count = batch_size(files.subspan(first), connection.place);
            put_batch(connection.place, files.subspan(first, count), first, progress, told);
            first += count;
        }
    });
}

void SshRemote::get(std::span<const RemoteFile> files, Progress& progress) {
    transfer(files, progress, [&](Connection& connection, std::vector<bool>& told) {
        const std::size_t most = connection.session->open_files();
        for (std::size_t first = 0; first < files.size(); first += most) {
            std::vector<Fetching> group(std::min(most, files.size() - first));
            std::vector<sftp::Reading> readings(group.size());
            for (std::size_t i = 0; i < group.size(); ++i) {
                group[i].file = &files[first + i];
                group[i].index = first + i;
                begin(group[i]);
                readings[i].path = connection.place.at(files[first + i].path);
                if (!files[first + i].sha256.empty()) readings[i].bytes = files[first + i].bytes;
                readings[i].sink = [&fetching = group[i], &progress](std::string_view piece) {
                    return take(fetching, piece, progress);
                };
            }
            sftp::read_all(*connection.session, readings);
            for (std::size_t i = 0; i < group.size(); ++i) {
                told[group[i].index] = true;
                progress.done(group[i].index, end(group[i], readings[i], connection.place));
            }
        }
    });
}

void SshRemote::verify(std::span<const RemoteFile> files, Progress& progress) {
    transfer(files, progress, [&](Connection& connection, std::vector<bool>& told) {
        open_shell(connection);
        for (std::size_t first = 0; first < files.size(); first += kHashedAtOnce) {
            const auto group = files.subspan(first, std::min(kHashedAtOnce, files.size() - first));
            const auto found = hashes_of(connection, group);
            for (std::size_t i = 0; i < group.size(); ++i) {
                const bool same = !found[i].empty() && found[i] == group[i].sha256.get();
                told[first + i] = true;
                progress.done(first + i, same ? Delivery::arrived()
                                              : changed(connection.place, connection.place.at(group[i].path)));
            }
        }
    });
}

// Those that the shell does not know are read.
std::vector<std::string> SshRemote::hashes_of(Connection& connection, std::span<const RemoteFile> files) {
    std::vector<SshShell::Piece> pieces;
    for (const auto& file : files) pieces.push_back({connection.place.at(file.path), file.bytes, false});
    std::vector<std::string> found(files.size());
    if (connection.shell) found = connection.shell->hashes(pieces);
    std::vector<std::pair<std::string, std::uint64_t>> to_read;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < files.size(); ++i)
        if (found[i].empty()) {
            to_read.emplace_back(pieces[i].path, files[i].bytes);
            which.push_back(i);
        }
    const auto read = sftp::hash_all(*connection.session, to_read);
    for (std::size_t i = 0; i < which.size(); ++i) found[which[i]] = read[i];
    return found;
}

template <typename Act>
auto SshRemote::asking(const Act& act) {
    try {
        return act(connect());
    } catch (const sftp::Lost& lost) {
        const Delivery why = why_lost(lost);
        connection_.reset();
        throw Error(why.error, why.help);
    }
}

std::vector<sftp::Named> SshRemote::entries(Connection& connection, const std::string& folder) {
    sftp::Session& session = *connection.session;
    const Reply opened = session.ask(Type::opendir, Writer().text(folder).take());
    if (opened.status == sftp::Status::no_such_file) return {};
    if (opened.type != Type::handle)
        throw Error(explain_status(connection.place, opened.status, "list " + folder).error);
    std::vector<sftp::Named> found;
    for (;;) {
        const Reply some = session.ask(Type::readdir, Writer().text(opened.text).take());
        if (some.type != Type::name) break;
        for (const auto& entry : some.names)
            if (entry.name != "." && entry.name != "..") found.push_back(entry);
    }
    session.ask(Type::close, Writer().text(opened.text).take());
    return found;
}

std::vector<std::string> SshRemote::list(const std::string& folder) {
    if (!folder.empty()) remote_path_parts(folder);
    return asking([&](Connection& connection) {
        std::vector<std::string> names;
        const std::string place = folder.empty() ? connection.place.root : connection.place.at(folder);
        for (const auto& entry : entries(connection, place))
            if (!is_part_name(entry.name)) names.push_back(entry.name);
        std::sort(names.begin(), names.end());
        return names;
    });
}

std::size_t SshRemote::remove_leftovers(Milliseconds older, bool dry_run) {
    return asking([&](Connection& connection) {
        return remove_leftovers_in(connection, connection.place.at("runs"), wall_now() - older, dry_run);
    });
}

std::size_t SshRemote::remove_leftovers_in(Connection& connection, const std::string& folder, WallTime before,
                                           bool dry_run) {
    std::size_t count = 0;
    for (const auto& entry : entries(connection, folder)) {
        const std::string path = folder + "/" + entry.name;
        if (entry.attributes.is_folder()) {
            count += remove_leftovers_in(connection, path, before, dry_run);
        } else if (entry.attributes.is_file() && is_part_name(entry.name) &&
                   WallTime{std::chrono::seconds(entry.attributes.modified.value_or(0))} <= before) {
            if (!dry_run) connection.session->ask(Type::remove, Writer().text(path).take());
            ++count;
        }
    }
    return count;
}

} // namespace poster
