#include "sftp_session.hpp"

#include <algorithm>

#include <error.hpp>

namespace poster::sftp {

namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint32_t kMostPacket = 1 << 20; // larger is no SFTP: text of a login script, say
constexpr std::size_t kWindow = 4 << 20;       // of bytes on their way
constexpr std::size_t kMostWaiting = 512;      // requests on their way
constexpr std::size_t kMostQueued = 1 << 20;   // bytes that the program has not taken yet
constexpr std::size_t kMostAtOnce = 255 << 10; // bytes read or written by one request
constexpr std::size_t kMostOpen = 256;
constexpr int kTurnMs = 100;

} // namespace

Session::Session(ChildProcess& program, std::function<void()> check) : program_(program), check_(std::move(check)) {
    out_.add(Writer().number(5).take() + char(Type::init) + Writer().number(kVersion).take());
    while (!greeted_) turn();
    if (has("limits@openssh.com")) learn_limits();
}

void Session::learn_limits() {
    const Reply reply = ask("limits@openssh.com", {});
    if (reply.type != Type::extended_reply) return;
    Reader limits(reply.text);
    const auto within = [](std::uint64_t said, std::size_t ours) {
        return said == 0 ? ours : std::size_t(std::min<std::uint64_t>(said, ours));
    };
    limits.big_number(); // of a packet
    read_size_ = within(limits.big_number(), kMostAtOnce);
    write_size_ = within(limits.big_number(), kMostAtOnce);
    open_files_ = std::max<std::size_t>(within(limits.big_number(), kMostOpen), 1);
}

void Session::begin_packet(Type type, std::size_t body) {
    out_.add(Writer().number(std::uint32_t(body + 5)).take() + char(type) + Writer().number(next_id_).take());
}

void Session::expect_reply(std::size_t weight, Handler handler) {
    weight_waiting_ += weight;
    waiting_.emplace(next_id_++, Waiting{std::move(handler), weight});
}

void Session::request(Type type, const std::string& body, Handler handler) {
    begin_packet(type, body.size());
    out_.add(body);
    expect_reply(type == Type::read ? read_size_ : body.size(), std::move(handler));
}

void Session::write(const std::string& handle, std::uint64_t offset, std::size_t bytes, int file,
                    Outgoing::Failed failed, Handler handler) {
    const std::string place = Writer().text(handle).big_number(offset).number(std::uint32_t(bytes)).take();
    begin_packet(Type::write, place.size() + bytes);
    out_.add(place);
    out_.add_piece(file, offset, bytes, std::move(failed));
    expect_reply(bytes, std::move(handler));
}

void Session::request(std::string_view extension, const std::string& body, Handler handler) {
    request(Type::extended, Writer().text(extension).take() + body, std::move(handler));
}

Reply Session::ask(Type type, const std::string& body) {
    Reply answer;
    request(type, body, [&](const Reply& reply) { answer = reply; });
    wait();
    return answer;
}

Reply Session::ask(std::string_view extension, const std::string& body) {
    return ask(Type::extended, Writer().text(extension).take() + body);
}

void Session::wait(const std::function<bool()>& more) {
    bool others = bool(more);
    for (;;) {
        while (others && weight_waiting_ < kWindow && waiting_.size() < kMostWaiting && out_.size() < kMostQueued) {
            const std::uint32_t before = next_id_;
            others = more();
            if (next_id_ == before) break; // it waits for an answer itself
        }
        if (waiting_.empty()) return;
        turn();
    }
}

void Session::flush() {
    while (!out_.empty()) turn();
}

void Session::turn() {
    check_();
    const bool open = program_.exchange(out_, in_, kTurnMs);
    take_packets();
    if (!open) throw Lost{};
}

void Session::take_packets() {
    std::size_t at = 0;
    try {
        while (in_.size() - at >= 4) {
            const std::uint32_t size = Reader(std::string_view(in_).substr(at)).number();
            if (size > kMostPacket || size < 1)
                throw Lost{"what answers is no SFTP server: does the login print something?"};
            if (in_.size() - at - 4 < size) break;
            take_packet(std::string_view(in_).substr(at + 4, size));
            at += 4 + size;
        }
    } catch (const Error& error) {
        throw Lost{error.what()};
    }
    in_.erase(0, at);
}

void Session::take_packet(std::string_view packet) {
    Reader reader(packet);
    const Type type = Type(reader.byte());
    if (!greeted_) {
        if (type != Type::version || reader.number() < kVersion)
            throw Lost{"what answers is no SFTP server of version 3"};
        while (!reader.empty()) {
            std::string name{reader.text()};
            extensions_[std::move(name)] = reader.text();
        }
        greeted_ = true;
        return;
    }
    const std::uint32_t id = reader.number();
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) throw Lost{"the SFTP server answered what it was not asked"};
    const Waiting waiting = std::move(found->second);
    waiting_.erase(found);
    weight_waiting_ -= waiting.weight;
    waiting.handler(parse_reply(type, packet.substr(5)));
}

} // namespace poster::sftp
