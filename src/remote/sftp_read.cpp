#include "sftp_read.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <span>

#include <sha256.hpp>

namespace poster::sftp {

namespace {

// One file that is open at the server.
class Stream {
public:
    Stream(Session& session, Reading& file) : session_(session), file_(file) {}

    void open() {
        session_.request(Type::open, Writer().text(file_.path).number(kRead).number(0).take(),
                         [this](const Reply& reply) {
                             if (reply.type != Type::handle) return fail(reply.status);
                             handle_ = reply.text;
                             session_.request(Type::fstat, Writer().text(handle_).take(),
                                              [this](const Reply& facts) { begin(facts); });
                         });
    }
    // True: it may have more to ask for later.
    bool ask_for_more() {
        if (!begun_ || ended_) return !ended_;
        if (asked_ == file_.size) return false;
        const std::uint64_t size = std::min<std::uint64_t>(session_.read_size(), file_.size - asked_);
        ask(asked_, size);
        asked_ += size;
        return asked_ < file_.size;
    }
    void close() {
        if (!handle_.empty()) session_.request(Type::close, Writer().text(handle_).take(), [](const Reply&) {});
    }

private:
    void begin(const Reply& facts) {
        if (facts.type != Type::attributes) return fail(facts.status);
        file_.size = facts.attributes.size.value_or(0);
        if (!facts.attributes.is_file() || (file_.bytes && *file_.bytes != file_.size)) return fail(Status::failure);
        begun_ = true;
        finish_if_all();
    }
    void ask(std::uint64_t offset, std::uint64_t size) {
        session_.request(Type::read, Writer().text(handle_).big_number(offset).number(std::uint32_t(size)).take(),
                         [this, offset, size](const Reply& reply) { take(offset, size, reply); });
    }
    void take(std::uint64_t offset, std::uint64_t size, const Reply& reply) {
        if (ended_) return;
        if (reply.type != Type::data || reply.text.empty() || reply.text.size() > size)
            return fail(reply.ok() ? Status::failure : reply.status);
        if (reply.text.size() < size) ask(offset + reply.text.size(), size - reply.text.size());
        early_[offset] = reply.text;
        while (!early_.empty() && early_.begin()->first == delivered_) {
            const std::string piece = std::move(early_.begin()->second);
            early_.erase(early_.begin());
            delivered_ += piece.size();
            if (!file_.sink(piece)) return fail(Status::failure);
        }
        finish_if_all();
    }
    void finish_if_all() {
        if (delivered_ < file_.size) return;
        ended_ = true;
        file_.complete = true;
    }
    void fail(Status status) {
        file_.status = status;
        ended_ = true;
    }

    Session& session_;
    Reading& file_;
    std::string handle_;
    bool begun_ = false, ended_ = false;
    std::uint64_t asked_ = 0, delivered_ = 0;
    std::map<std::uint64_t, std::string> early_; // pieces whose turn has not come
};

void read_together(Session& session, std::span<Reading> files) {
    std::vector<std::unique_ptr<Stream>> streams;
    for (auto& file : files) streams.push_back(std::make_unique<Stream>(session, file));
    for (auto& stream : streams) stream->open();
    std::size_t first = 0; // those before it have asked for all
    session.wait([&] {
        while (first < streams.size() && !streams[first]->ask_for_more()) ++first;
        return first < streams.size();
    });
    for (auto& stream : streams) stream->close();
    session.wait();
}

} // namespace

void read_all(Session& session, std::vector<Reading>& files) {
    for (std::size_t begin = 0; begin < files.size(); begin += session.open_files())
        read_together(session, std::span(files).subspan(begin, std::min(session.open_files(), files.size() - begin)));
}

std::vector<std::string> hash_all(Session& session, const std::vector<std::pair<std::string, std::uint64_t>>& files) {
    std::vector<Sha256> hashes(files.size());
    std::vector<Reading> readings(files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
        readings[i].path = files[i].first;
        readings[i].bytes = files[i].second;
        readings[i].sink = [&hash = hashes[i]](std::string_view piece) {
            hash.update(piece);
            return true;
        };
    }
    read_all(session, readings);
    std::vector<std::string> found(files.size());
    for (std::size_t i = 0; i < files.size(); ++i)
        if (readings[i].complete) found[i] = hashes[i].hex();
    return found;
}

} // namespace poster::sftp
