#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>

#include <fd.hpp>
#include <files.hpp>
#include <sha256.hpp>
#include <slice.hpp>

#include "s3_etag.hpp"
#include "s3_transfer.hpp"

namespace poster {

namespace {

constexpr std::uint64_t kWorthAsking = 5 << 20; // whether it is there already

// A file that goes in parts. Their bytes are hashed in order, one part after the other, since that gives the hash of
// the whole as well: what arrives is what was announced, also where the file is written to meanwhile.
struct Large {
    std::size_t index = 0;
    Fd file;
    std::uint64_t bytes = 0, part_bytes = 0;
    S3Upload upload;
    bool taken_up = false;       // of an earlier try
    std::map<int, S3Part> there; // what that has brought there

    std::mutex hashing;
    int next = 0; // part to hash, from 0
    Sha256 whole;

    std::mutex counting;
    std::vector<S3Part> parts; // those that have arrived
    int count() const { return int((bytes + part_bytes - 1) / part_bytes); }
};

Fd open_local(const RemoteFile& file) {
    Fd fd = open_regular(file.local);
    if (!fd) throw_errno("read " + file.local.native(), errno);
    struct stat facts{};
    check_syscall("read " + file.local.native(), ::fstat(fd.get(), &facts));
    if (std::uint64_t(facts.st_size) < file.bytes)
        throw Error(file.local.native() + " is shorter than it was when it was to be copied");
    return fd;
}

// Hashes the slice for itself and into the whole.
std::string hash_slice(int file, std::uint64_t offset, std::uint64_t bytes, Sha256& whole) {
    Sha256 hash;
    const auto take = [&](std::string_view block) { Sha256::update_both(hash, whole, block); };
    const SliceRead read = read_slice(file, offset, bytes, take);
    if (read == SliceRead::failed) throw_errno("read what is to be sent", errno);
    if (read == SliceRead::shorter) throw Error("the file became shorter while it was sent");
    return hash.hex();
}

class Upload : public S3Transfer {
public:
    Upload(S3Session& session, const std::string& prefix, std::uint64_t part_bytes, std::span<const RemoteFile> files,
           Progress& progress)
        : S3Transfer(session, prefix, files, progress), part_bytes_(part_bytes), believes_(!session.place().read_back) {
    }

protected:
    void begin(S3Client& client, std::size_t index) override {
        const RemoteFile& it = file(index);
        const std::string name = key(index);
        Fd local = open_local(it);
        if (it.bytes > kWorthAsking && believes_) {
            if (const auto receipt = is_there(client, name, local.get(), it)) {
                progress().moved(index, it.bytes);
                return finish(index, Delivery::arrived(*receipt));
            }
            if (cancelled()) return;
        }
        if (it.bytes > part_bytes_) return begin_large(client, index, name, std::move(local));
        const std::string sha256 = it.sha256.get();
        if (sha256.empty() && cancelled()) return;
        if (sha256.empty()) throw unreadable(it);
        const S3Slice slice{local.get(), 0, it.bytes, sha256,
                            [this, index](std::uint64_t bytes) { progress().moved(index, bytes); }};
        finish(index, Delivery::arrived(client.put(name, slice, sha256)));
    }

private:
    static Error unreadable(const RemoteFile& it) {
        return Error(it.local.native() + " is gone, became shorter or cannot be read");
    }

    // An object that was sent with this hash, or before that was known.
    static std::optional<S3Object> noted(S3Client& client, const std::string& name, const RemoteFile& it) {
        try {
            auto object = client.head(name);
            if (!object || object->bytes != it.bytes) return {};
            if (object->noted_sha256.empty() || object->noted_sha256 == it.sha256.get()) return object;
        } catch (const S3Error& error) {
            if (error.status != 403) throw; // some may write and not read
        }
        return {};
    }

    // The ETag of an object with these bytes. What is noted with it is believed where the server has looked at them
    // itself: else an upload that was cut short may not have been verified.
    std::optional<std::string> is_there(S3Client& client, const std::string& name, int local,
                                        const RemoteFile& it) const {
        const auto object = noted(client, name, it);
        if (!object) return {};
        const S3Slice whole{local, 0, it.bytes, it.sha256.get(), {}};
        const bool is_noted = !object->noted_sha256.empty();
        const auto left_off = [this] { return cancelled(); };
        const bool same = (is_noted && !object->checksum.empty()) ||
                          checksum_is_of_parts(object->checksum, whole, part_bytes_of(it), left_off) ||
                          etag_is_of(object->etag, whole, left_off) ||
                          etag_is_of_parts(object->etag, whole, part_bytes_of(it), left_off) ||
                          (is_noted && client.sha256_of(name) == it.sha256.get());
        return same ? std::optional{object->etag} : std::nullopt;
    }

    std::uint64_t part_bytes_of(const RemoteFile& it) const { return s3_part_bytes(part_bytes_, it.bytes); }

    void begin_large(S3Client& client, std::size_t index, const std::string& name, Fd local) {
        const RemoteFile& it = file(index);
        auto large = std::make_shared<Large>();
        large->index = index;
        large->file = std::move(local);
        large->bytes = it.bytes;
        large->part_bytes = part_bytes_of(it);
        large->upload = {name, {}, {}};
        resume(client, *large);
        // Its hash may take longer than to send it does: what is noted with the object is what is known by now.
        if (large->upload.id.empty())
            large->upload.id = client.create_upload(name, it.sha256.known() ? it.sha256.get() : "");
        crew().add_first([this, large](S3Client& other) { guarded(large->index, [&] { send_next(other, *large); }); },
                         std::size_t(large->count()));
    }

    // Takes up the newest upload of this key that was cut short. Without the right to list them there is none.
    static void resume(S3Client& client, Large& large) {
        try {
            for (const S3Upload& upload : client.uploads(large.upload.key)) {
                if (upload.key == large.upload.key && (large.upload.id.empty() || upload.begun > large.upload.begun))
                    large.upload = upload;
            }
            large.taken_up = !large.upload.id.empty();
            if (!large.taken_up) return;
            for (const S3Part& part : client.parts(large.upload)) large.there[part.number] = part;
        } catch (const S3Error& error) {
            if (error.passing()) throw;
            large.upload.id.clear();
            large.taken_up = false;
        }
    }

    void send_next(S3Client& client, Large& large) {
        if (finished(large.index)) return;
        try {
            send_part(client, large);
        } catch (const S3Error& error) {
            if (!large.taken_up || error.passing() || error.everywhere()) throw;
            client.abort(large.upload); // it was begun in another way, and cannot be ended in this
            throw S3Error(error.what(), {}, S3Error::Kind::passing, error.code, error.status);
        }
    }

    void send_part(S3Client& client, Large& large) {
        S3Slice slice;
        int number = 0;
        {
            const std::lock_guard lock{large.hashing};
            slice.file = large.file.get();
            slice.offset = std::uint64_t(large.next) * large.part_bytes;
            slice.bytes = std::min(large.part_bytes, large.bytes - slice.offset);
            slice.sha256 = hash_slice(slice.file, slice.offset, slice.bytes, large.whole);
            number = ++large.next;
        }
        const auto before = large.there.find(number);
        const bool reused = before != large.there.end() && is_part(before->second, slice);
        slice.sent = [this, index = large.index](std::uint64_t bytes) { progress().moved(index, bytes); };
        if (reused) slice.sent(slice.bytes);
        const S3Part part = reused ? before->second : client.upload_part(large.upload, number, slice);
        bool last = false;
        {
            const std::lock_guard lock{large.counting};
            large.parts.push_back(part);
            last = int(large.parts.size()) == large.count();
        }
        if (last) complete(client, large);
    }

    static bool is_part(const S3Part& part, const S3Slice& slice) {
        if (part.bytes != slice.bytes) return false;
        return part.sha256.empty() ? etag_is_of(part.etag, slice) : part.sha256 == slice.sha256;
    }

    void complete(S3Client& client, Large& large) {
        const RemoteFile& it = file(large.index);
        const std::string sha256 = it.sha256.get();
        if (sha256.empty() && cancelled()) return;
        if (sha256.empty()) throw unreadable(it); // what has arrived is taken up by the next try
        if (large.whole.hex() != sha256) {
            client.abort(large.upload);
            throw Error(it.local.native() + " changed while it was sent");
        }
        std::sort(large.parts.begin(), large.parts.end(), [](auto& a, auto& b) { return a.number < b.number; });
        std::string receipt;
        try {
            receipt = client.complete(large.upload, large.parts);
        } catch (const S3Error& error) {
            // The answer to an earlier try may have been lost.
            const auto etag =
                error.status == 404 ? is_there(client, large.upload.key, large.file.get(), it) : std::nullopt;
            if (!etag) throw;
            receipt = *etag;
        }
        const bool proven =
            std::all_of(large.parts.begin(), large.parts.end(), [](const S3Part& part) { return part.proven; });
        if (!proven && client.sha256_of(large.upload.key) != sha256)
            throw S3Error("s3: other bytes of " + it.path + " arrived than were sent", {}, S3Error::Kind::passing);
        // What was taken up may have been begun for other bytes, and then is noted as those.
        if (large.taken_up && !noted(client, large.upload.key, it)) {
            throw S3Error("s3: an upload that was taken up was one of other bytes", {}, S3Error::Kind::passing);
        }
        finish(large.index, Delivery::arrived(receipt));
        abort_others(client, large.upload.key);
    }

    // What earlier tries began for this key and nobody takes up any more: the answer to a beginning may have been lost.
    static void abort_others(S3Client& client, const std::string& key) {
        try {
            for (const S3Upload& upload : client.uploads(key))
                if (upload.key == key) client.abort(upload);
        } catch (const S3Error&) { // left for `poster gc`
        }
    }

    std::uint64_t part_bytes_;
    bool believes_; // what the server says that is there
};

} // namespace

void s3_upload(S3Session& session, const std::string& prefix, std::uint64_t part_bytes,
               std::span<const RemoteFile> files, Progress& progress) {
    Upload{session, prefix, part_bytes, files, progress}.run();
}

} // namespace poster
