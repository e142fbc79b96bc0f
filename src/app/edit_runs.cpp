// `poster tag`, `poster note`, `poster rm`: what is changed about runs afterwards.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <files.hpp>
#include <liveness.hpp>
#include <outbox.hpp>
#include <records.hpp>
#include <text.hpp>

#include "checkout.hpp"
#include "commands.hpp"
#include "reading.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int kMostTries = 20;
constexpr auto kHostWrites = 50ms; // within this time the host of a running run may write over what is written here

json read_record(const Store& store, const std::string& id) {
    auto run = read_json(store.run_dir(id) / "run.json");
    if (!run || !run->is_object()) throw Error(fmt::format("run {} has no readable run.json", id));
    return *run;
}

void announce(const Store& store, const std::string& id, const json& run) {
    auto attempts = read_attempts(store.run_dir(id));
    json attempt = attempts.empty() ? json{{"attempt", 0}, {"status", "queued"}} : attempts.back().second;
    store.announce(run, attempt);
}

// Sets one field of run.json. While the run lives its host writes there too, from what it has just read: looks again.
void set_field(const Store& store, const RunRow& row, const char* key, const json& value) {
    for (int i = 0; i < kMostTries; ++i) {
        json run = read_record(store, row.id);
        if (i > 0 && run[key] == value) break;
        run[key] = value;
        write_json(store.run_dir(row.id) / "run.json", run);
        announce(store, row.id, run);
        if (Outbox(store.run_dir(row.id)).exists()) store.mark_pending(row.id); // the copies are not as it is now
        if (row.status != Status::running) break;
        std::this_thread::sleep_for(kHostWrites);
    }
}

bool confirmed(const std::string& question) {
    if (::isatty(STDIN_FILENO) != 1)
        throw UsageError("rm asks before it removes, and stdin is no terminal", "-y removes without asking");
    fmt::print(stderr, "poster: {} [y/N] ", question);
    std::fflush(stderr);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

void refuse_living(const Store& store, const RunRow& row) {
    auto attempts = read_attempts(store.run_dir(row.id));
    if (attempts.empty()) throw Error(fmt::format("run {} waits for its turn", row.id));
    const auto& [number, attempt] = attempts.back();
    if (outcome_from_json(attempt)) return;
    LifeSign sign = look_for_life(store.attempt_dir(row.id, number), attempt);
    if (sign.life == Life::dead) return;
    throw Error(fmt::format("run {} is running on {}", row.id, text_of(attempt, "host")),
                fmt::format("poster stop {} ends it", row.id));
}

} // namespace

int tag_runs(const TagArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    const RunRow row = reading.index->find(arguments.run);
    std::vector<std::string> tags = row.tags;
    for (const auto& tag : arguments.tags) {
        std::erase(tags, tag);
        if (!arguments.remove) tags.push_back(tag);
    }
    set_field(reading.workspace.store, row, "tags", tags);
    return 0;
}

int note_run(const NoteArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    RunRow row = reading.index->find(arguments.run);
    if (!arguments.text) {
        if (!row.note.empty()) print_out(row.note + "\n");
        return 0;
    }
    std::string text = redactor_of(reading.workspace.settings).text(*arguments.text);
    set_field(reading.workspace.store, row, "note", text.empty() ? json() : json(text));
    return 0;
}

int remove_runs(const RemoveArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    const Store& store = reading.workspace.store;
    const auto rows = find_runs(reading, arguments.runs);
    for (const auto& row : rows) refuse_living(store, row);
    for (const auto& row : rows) {
        std::string label = row.name.empty() ? row.id : fmt::format("{} ({})", row.id, printable(row.name));
        if (!arguments.yes && !confirmed(fmt::format("remove run {}: {}?", label, printable(row.command)))) continue;
        const fs::path repository = repository_of(store.run_dir(row.id) / "worktree");
        const fs::path trashed = store.dir() / "trash" / row.id;
        make_directories(trashed.parent_path());
        std::error_code failure;
        fs::rename(store.run_dir(row.id), trashed, failure);
        if (failure) throw Error(fmt::format("cannot remove run {}: {}", row.id, failure.message()));
        forget_worktrees(repository);
        store.unmark_active(row.id);
        say(fmt::format("run {} is in the trash, {}; `poster gc` empties it", label, trashed.string()));
    }
    return 0;
}

} // namespace poster
