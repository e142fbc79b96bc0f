#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>

#include "part_file.hpp"
#include "s3_etag.hpp"
#include "s3_transfer.hpp"

namespace poster {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kAtOnce = 64; // parts of a file that wait for a thread

void write_at(const PartFile& part, const fs::path& place, std::uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(part.fd(), bytes.data(), bytes.size(), off_t(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw_errno("write " + place.native(), errno);
        offset += std::uint64_t(written);
        bytes.remove_prefix(std::size_t(written));
    }
}

Fd folder_of(const fs::path& place) {
    return Fd{check_syscall("open " + place.parent_path().native(),
                            ::open(place.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
}

struct Fetch {
    Fetch(std::size_t which, const fs::path& place)
        : index(which), folder(folder_of(place)), part(folder.get(), place) {}
    std::size_t index;
    Fd folder;
    PartFile part;
    std::atomic<std::uint64_t> left{0};
    std::atomic<std::uint64_t> next{0};
};

class Download : public S3Transfer {
public:
    Download(S3Session& session, const std::string& prefix, std::uint64_t part_bytes, std::span<const RemoteFile> files,
             Progress& progress)
        : S3Transfer(session, prefix, files, progress), place_(session.place()), part_bytes_(part_bytes) {}

protected:
    void begin(S3Client& client, std::size_t index) override {
        const RemoteFile& it = file(index);
        auto fetch = std::make_shared<Fetch>(index, it.local);
        if (it.sha256.empty() || it.bytes <= part_bytes_) {
            if (take(client, *fetch, {})) end(*fetch);
            return;
        }
        fetch->left = (it.bytes + part_bytes_ - 1) / part_bytes_;
        add_fetches(fetch, std::min<std::uint64_t>(fetch->left, kAtOnce));
    }

private:
    using Range = std::optional<std::pair<std::uint64_t, std::uint64_t>>;

    // How many parts there are is what somebody's manifest says.
    void add_fetches(const std::shared_ptr<Fetch>& fetch, std::uint64_t count) {
        crew().add_first([this, fetch](S3Client& client) { guarded(fetch->index, [&] { fetch_next(client, fetch); }); },
                         std::size_t(count));
    }

    void fetch_next(S3Client& client, const std::shared_ptr<Fetch>& fetch) {
        const std::uint64_t offset = fetch->next++ * part_bytes_;
        const std::uint64_t whole = file(fetch->index).bytes;
        if (finished(fetch->index) || offset >= whole) return;
        if (!take(client, *fetch, Range{{offset, std::min(part_bytes_, whole - offset)}})) return;
        if (--fetch->left == 0) return end(*fetch);
        add_fetches(fetch, 1);
    }

    // false: the file's end was told.
    bool take(S3Client& client, Fetch& fetch, const Range& range) {
        const std::uint64_t offset = range ? range->first : 0;
        std::uint64_t got = 0, told = 0;
        S3Sink sink;
        const std::uint64_t most = range ? range->second : file(fetch.index).bytes;
        sink.take = [&](std::string_view bytes) {
            if (!file(fetch.index).sha256.empty() && got + bytes.size() > most)
                throw S3Error(shown_object(place_, key(fetch.index)) + " is longer than what was copied there",
                              "it was changed or damaged since", S3Error::Kind::permanent);
            write_at(fetch.part, file(fetch.index).local, offset + got, bytes);
            got += bytes.size();
            if (got > told) progress().moved(fetch.index, got - told);
            told = std::max(told, got);
        };
        sink.again = [&] {
            got = 0;
            if (!range) check_syscall("write " + file(fetch.index).local.native(), ::ftruncate(fetch.part.fd(), 0));
        };
        const std::string name = key(fetch.index);
        try {
            client.get(name, range, sink);
        } catch (const S3Error& error) {
            if (error.code == "NoSuchKey" || (error.status == 404 && error.code.empty())) {
                finish(fetch.index, Delivery::gone_from(shown_object(place_, name)));
                return false;
            }
            if (error.status != 416) throw;
            finish(fetch.index, Delivery::changed_at(shown_object(place_, name))); // it is shorter
            return false;
        }
        return true;
    }

    void end(Fetch& fetch) {
        const RemoteFile& it = file(fetch.index);
        const std::string shown = shown_object(place_, key(fetch.index));
        fetch.part.flush();
        const bool whole = it.sha256.empty() || (::lseek(fetch.part.fd(), 0, SEEK_END) == off_t(it.bytes) &&
                                                 sha256_of_slice(fetch.part.fd(), 0, it.bytes) == it.sha256.get());
        if (!whole) return finish(fetch.index, Delivery::changed_at(shown));
        fetch.part.put_in_place();
        finish(fetch.index, Delivery::arrived());
    }

    const S3Place& place_;
    std::uint64_t part_bytes_;
};

class Verify : public S3Transfer {
public:
    Verify(S3Session& session, const std::string& prefix, std::uint64_t part_bytes, std::span<const RemoteFile> files,
           Progress& progress)
        : S3Transfer(session, prefix, files, progress), place_(session.place()), prefix_(prefix),
          part_bytes_(part_bytes) {}

protected:
    void begin(S3Client& client, std::size_t index) override {
        const RemoteFile& it = file(index);
        const std::string name = key(index), shown = shown_object(place_, name);
        const auto object = client.head(name);
        if (!object) {
            if (!looked_.exchange(true)) client.names(prefix_ + "/"); // throws where there is no bucket
            return finish(index, Delivery::gone_from(shown));
        }
        if (object->bytes != it.bytes) return finish(index, Delivery::changed_at(shown));
        const bool same = is_same(client, *object, name, it);
        if (!same && cancelled()) return; // it has not been looked at to its end
        finish(index, same ? Delivery::arrived(object->etag) : Delivery::changed_at(shown));
    }

private:
    bool is_same(S3Client& client, const S3Object& object, const std::string& name, const RemoteFile& it) const {
        const std::string& said = object.sha256.empty() ? object.noted_sha256 : object.sha256;
        if (!place_.read_back && !said.empty()) return said == it.sha256.get();
        return (!place_.read_back && is_as_here(object, it)) || client.sha256_of(name) == it.sha256.get();
    }

    // By the checksum of its parts, and the file here.
    bool is_as_here(const S3Object& object, const RemoteFile& it) const {
        const Fd local = open_regular(it.local);
        const S3Slice whole{local.get(), 0, it.bytes, it.sha256.get(), {}};
        return local && checksum_is_of_parts(object.checksum, whole, s3_part_bytes(part_bytes_, it.bytes),
                                             [this] { return cancelled(); });
    }

    const S3Place& place_;
    std::string prefix_;
    std::uint64_t part_bytes_;
    std::atomic<bool> looked_{false};
};

} // namespace

void s3_download(S3Session& session, const std::string& prefix, std::uint64_t part_bytes,
                 std::span<const RemoteFile> files, Progress& progress) {
    Download{session, prefix, part_bytes, files, progress}.run();
}

void s3_verify(S3Session& session, const std::string& prefix, std::uint64_t part_bytes,
               std::span<const RemoteFile> files, Progress& progress) {
    Verify{session, prefix, part_bytes, files, progress}.run();
}

} // namespace poster
