#include "queue.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include <error.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>
#include <run_id.hpp>
#include <text.hpp>

#include "attempt.hpp"
#include "reading.hpp"

namespace poster {

namespace {

using nlohmann::json;

fs::path folder_of(const Store& store) {
    return store.dir() / "queues";
}

bool launcher_is_dead(const json& queue) {
    if (text_of(queue, "host") != host_name()) return false; // nobody here can tell
    if (text_of(queue, "boot_id") != boot_id()) return true;
    const auto pid = queue.find("pid");
    const auto ticks = queue.find("start_ticks");
    if (pid == queue.end() || !pid->is_number_integer() || ticks == queue.end() || !ticks->is_number_unsigned())
        return true;
    return !is_alive({pid->get<pid_t>(), ticks->get<std::uint64_t>()});
}

void settle(const Store& store, const fs::path& file) {
    const auto lines = split(read_file(file).value_or(""), '\n');
    if (lines.empty()) return; // being made
    const json head = json::parse(lines.front(), nullptr, false);
    if (!head.is_object() || !launcher_is_dead(head)) return;
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
    const ProcessIdentity self = self_identity();
    const json head{{"format", kFormat},
                    {"host", host_name()},
                    {"boot_id", boot_id()},
                    {"pid", self.pid},
                    {"start_ticks", self.start_ticks}};
    if (!write_all(fd_.get(), head.dump() + '\n')) throw_errno("write " + file_.native(), errno);
}

Queue::~Queue() {
    ::unlink(file_.c_str());
}

void Queue::add(const std::string& run) {
    if (!write_all(fd_.get(), json{{"run", run}}.dump() + '\n')) throw_errno("write " + file_.native(), errno);
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
