#include "queue.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include <error.hpp>
#include <files.hpp>
#include <liveness.hpp>
#include <records.hpp>
#include <run_id.hpp>
#include <text.hpp>

#include "attempt.hpp"

namespace poster {

namespace {

using nlohmann::json;

fs::path folder_of(const Store& store) {
    return store.dir() / "queues";
}

void settle(const Store& store, const fs::path& file) {
    const auto lines = split(read_file(file).value_or(""), '\n');
    if (lines.empty()) return; // being made
    const json head = json::parse(lines.front(), nullptr, false);
    if (!head.is_object() || !owner_is_dead(head)) return;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const json line = json::parse(lines[i], nullptr, false);
        const std::string run = text_of(line, "run");
        struct stat facts{};
        if (!is_run_id(run) || ::stat(store.run_dir(run).c_str(), &facts) != 0) continue;
        record_never_started(store, run, Status::lost, "lost: poster was killed before its turn came");
    }
    ::unlink(file.c_str()); // last: whoever dies before leaves it to the next
}

} // namespace

Queue::Queue(const Store& store, const std::string& group) : file_(folder_of(store) / (group + ".jsonl")) {
    make_directories(folder_of(store));
    fd_ = open_append(file_);
    json head = self_record();
    head["format"] = kFormat;
    if (!write_all(fd_.get(), head.dump() + '\n')) throw_errno("write " + file_.native(), errno);
}

void Queue::add(const std::string& run) {
    if (!write_all(fd_.get(), json{{"run", run}}.dump() + '\n')) throw_errno("write " + file_.native(), errno);
}

void Queue::remove() {
    ::unlink(file_.c_str());
}

void settle_abandoned_queues(const Store& store) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_of(store), none)) {
        try {
            if (entry.path().extension() == ".jsonl") settle(store, entry.path());
        } catch (const std::exception&) {
            continue; // unreadable, or a full disk: the next command tries again
        }
    }
}

} // namespace poster
