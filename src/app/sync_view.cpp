#include "sync_view.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <text.hpp>

#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kDrawEvery{100};
constexpr std::size_t kBarCells = 20;
constexpr std::size_t kMostFilesTold = 10; // of one transfer that fail

std::size_t terminal_columns() {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

const char* word_of(Delivery::State state) {
    switch (state) {
    case Delivery::State::delivered: return "delivered";
    case Delivery::State::retry: return "retry";
    case Delivery::State::failed: break;
    }
    return "failed";
}

// The words of servers and the names of files are foreign: they do not reach a terminal as they are.
std::string why_of(const Delivery& delivery) {
    std::string why = delivery.error.empty() ? "no reason was given" : printable(delivery.error);
    return delivery.help.empty() ? why : why + "\n  " + printable(delivery.help);
}

json json_of(const Delivery& delivery) {
    json record{{"state", word_of(delivery.state)}};
    if (!delivery.receipt.empty()) record["receipt"] = delivery.receipt;
    if (!delivery.error.empty()) record["error"] = delivery.error;
    if (!delivery.help.empty()) record["help"] = delivery.help;
    return record;
}

} // namespace

std::string transfer_bar(const std::string& label, std::uint64_t done, std::uint64_t total,
                         std::chrono::duration<double> elapsed, std::size_t columns) {
    const double share = total == 0 ? 1.0 : std::min(1.0, double(done) / double(total));
    const auto filled = std::size_t(share * double(kBarCells));
    std::string bar(filled, '=');
    if (filled < kBarCells) bar += '>';
    bar.resize(kBarCells, ' ');
    const double rate = elapsed.count() > 0 ? double(done) / elapsed.count() : 0;
    std::string line = fmt::format("{} [{}] {:3.0f}%  {} of {}  {}/s", label, bar, share * 100, format_bytes(done),
                                   format_bytes(total), format_bytes(std::uint64_t(rate)));
    if (rate > 0 && done < total) {
        const Milliseconds left{std::int64_t(double(total - done) / rate * 1000)};
        line += fmt::format("  {} left", format_duration(left));
    }
    return line.substr(0, columns);
}

SyncView::SyncView(Form form, Way way)
    : form_(form), preposition_(way == Way::to ? "to" : "from"), columns_(terminal_columns()) {}

SyncView::~SyncView() {
    erase();
}

void SyncView::print(const std::string& line) {
    erase();
    write_all(STDOUT_FILENO, line + '\n');
    draw(true);
}

void SyncView::copies_begin(const std::string& run, const std::string& callback, const std::string& destination,
                            std::size_t files, std::uint64_t bytes) {
    transfers_[{callback, run}] = {destination, files, 0, 0, bytes, 0, Clock::now()};
    draw(true);
}

void SyncView::bytes_moved(const std::string& run, const std::string& callback, const std::string& /*path*/,
                           std::uint64_t bytes) {
    transfers_[{callback, run}].moved += bytes;
    draw(false);
}

void SyncView::file_done(const std::string& run, const std::string& callback, const std::string& path,
                         std::uint64_t bytes, const Delivery& delivery) {
    Transfer& transfer = transfers_[{callback, run}];
    if (form_ == Form::json) {
        json record = json_of(delivery);
        record.update({{"run", run}, {"callback", callback}, {"path", path}, {"bytes", bytes}});
        return print(record.dump(-1, ' ', false, json::error_handler_t::replace));
    }
    if (delivery.state == Delivery::State::delivered) {
        ++transfer.files_done;
    } else if (delivery.state == Delivery::State::failed && transfer.files_told++ < kMostFilesTold) {
        print(fmt::format("{} {}: {} failed: {}", run, callback, printable(path), why_of(delivery)));
    }
    draw(false);
}

void SyncView::copies_end(const std::string& run, const std::string& callback, const std::string& destination,
                          const Delivery& delivery) {
    const auto found = transfers_.find({callback, run});
    const Transfer transfer = found == transfers_.end() ? Transfer{} : found->second;
    held_.erase({callback, run});
    erase();
    if (found != transfers_.end()) transfers_.erase(found);
    if (form_ == Form::json) {
        json record = json_of(delivery);
        record.update(
            {{"run", run}, {"callback", callback}, {"destination", destination}, {"files", transfer.files_done}});
        return print(record.dump(-1, ' ', false, json::error_handler_t::replace));
    }
    const bool whole = delivery.state == Delivery::State::delivered;
    if (whole && (transfer.files_done == 0 || form_ == Form::errors)) return;
    const auto elapsed = std::chrono::duration_cast<Milliseconds>(Clock::now() - transfer.since);
    if (whole)
        print(fmt::format("{} {}: {} files, {}, {} {} in {}", run, callback, transfer.files_done,
                          format_bytes(transfer.bytes), preposition_, printable(destination),
                          format_duration(elapsed)));
    else
        print(fmt::format("{} {}: {} of {} files {} {}; {}: {}", run, callback, transfer.files_done, transfer.files,
                          preposition_, printable(destination),
                          delivery.state == Delivery::State::retry ? "the rest later" : "stopped", why_of(delivery)));
}

void SyncView::message_done(const std::string& run, const std::string& callback, const std::string& kind,
                            const Delivery& delivery) {
    if (form_ == Form::json) {
        json record = json_of(delivery);
        record.update({{"run", run}, {"callback", callback}, {"kind", kind}});
        return print(record.dump(-1, ' ', false, json::error_handler_t::replace));
    }
    const bool arrived = delivery.state == Delivery::State::delivered;
    if (arrived && form_ == Form::errors) return;
    print(arrived ? fmt::format("{} {}: {} delivered", run, callback, printable(kind))
                  : fmt::format("{} {}: {} {}: {}", run, callback, printable(kind),
                                delivery.state == Delivery::State::retry ? "later" : "failed", why_of(delivery)));
}

void SyncView::held(const std::string& run, const std::string& callback) {
    const bool first = held_.insert({callback, run}).second;
    if (first && (form_ == Form::bars || form_ == Form::lines))
        print(fmt::format("{} {}: waits for another process that is at it", run, callback));
    draw(false);
}

void SyncView::erase() {
    if (drawn_ == 0) return;
    std::string back;
    for (std::size_t i = 0; i < drawn_; ++i) back += "\x1b[1A\x1b[2K";
    write_all(STDERR_FILENO, back);
    drawn_ = 0;
}

void SyncView::draw(bool now) {
    if (form_ != Form::bars || transfers_.empty()) return;
    const auto time = Clock::now();
    if (!now && time < next_draw_) return;
    next_draw_ = time + kDrawEvery;
    erase();
    std::string lines;
    for (const auto& [key, transfer] : transfers_) {
        if (transfer.files == 0) continue;
        lines += transfer_bar(fmt::format("{} {}", key.second, key.first), transfer.moved, transfer.bytes,
                              time - transfer.since, columns_ - 1) +
                 '\n';
        ++drawn_;
    }
    write_all(STDERR_FILENO, lines);
}

} // namespace poster
