// `poster continue`: the next attempt of a run that did not finish, in the same directory.

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <liveness.hpp>
#include <process.hpp>
#include <records.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "execute.hpp"
#include "fetch_evicted.hpp"
#include "reading.hpp"
#include "recover.hpp"
#include "repeat.hpp"

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kRecovery = 30s; // what an abandoned run has left is ended before the next attempt begins
constexpr auto kLookAgain = 50ms;

bool has_not_finished(Status status) {
    return status != Status::finished && status != Status::running && status != Status::queued;
}

json read_run(const Store& store, const std::string& id) {
    auto run = read_json(store.run_dir(id) / "run.json");
    if (!run || !run->is_object())
        throw Error(fmt::format("run {} has no readable run.json in {}", id, store.run_dir(id).string()));
    return *run;
}

// A run whose supervisor is dead is being ended: by its host, by a recovery, or by this one.
void await_outcome(const Workspace& workspace, const std::string& id) {
    const auto limit = std::chrono::steady_clock::now() + kRecovery;
    while (std::chrono::steady_clock::now() < limit) {
        auto attempts = read_attempts(workspace.store.run_dir(id));
        if (attempts.empty() || outcome_from_json(attempts.back().second)) return;
        const auto& [number, attempt] = attempts.back();
        const fs::path dir = workspace.store.attempt_dir(id, number);
        if (owner_is_alive(attempt) || look_for_life(dir, attempt).life == Life::unknown) return;
        workspace.store.mark_active(id); // recovery looks at no other
        recover_abandoned_runs(workspace, 1s);
        std::this_thread::sleep_for(kLookAgain);
    }
}

void refuse_running(const std::string& id, const fs::path& attempt_dir, const json& attempt, bool force) {
    LifeSign sign = look_for_life(attempt_dir, attempt);
    if (sign.life == Life::dead) throw Error(fmt::format("run {} has no outcome yet", id), "poster ls records it");
    std::string host = text_of(attempt, "host");
    if (sign.life == Life::unknown && force) return;
    std::string since = sign.heartbeat_age_s
                            ? fmt::format(", last sign of life {} ago",
                                          format_duration(Milliseconds(long(*sign.heartbeat_age_s) * 1000)))
                            : "";
    if (host != host_name())
        throw Error(fmt::format("run {} is running on {}{}", id, host, since),
                    sign.life == Life::unknown
                        ? "--force continues it all the same: only if it is certain to be dead there"
                        : "");
    throw Error(fmt::format("run {} is still running", id), fmt::format("poster stop {} ends it", id));
}

// {run_dir}, {run_id}, {attempt} in the setting continue.append.
std::string filled_in(std::string word, const fs::path& run_dir, const std::string& id, int attempt) {
    for (const auto& [key, value] : {std::pair<std::string, std::string>{"{run_dir}", run_dir.string()},
                                     {"{run_id}", id},
                                     {"{attempt}", std::to_string(attempt)}})
        for (std::size_t at = 0; (at = word.find(key, at)) != std::string::npos; at += value.size())
            word.replace(at, key.size(), value);
    return word;
}

AttemptPlan plan_of(const Workspace& workspace, const std::string& id, const ContinueArguments& arguments) {
    const Store& store = workspace.store;
    json run = read_run(store, id);
    await_outcome(workspace, id);
    auto attempts = read_attempts(store.run_dir(id));
    if (attempts.empty())
        throw Error(fmt::format("run {} has not begun yet", id), "it waits for its turn; `poster ls` shows it");
    const auto& [number, attempt] = attempts.back();
    auto outcome = outcome_from_json(attempt);
    if (!outcome) refuse_running(id, store.attempt_dir(id, number), attempt, arguments.force);
    if (outcome && outcome->status == Status::finished && !arguments.force)
        throw Error(fmt::format("run {} has finished", id),
                    fmt::format("poster rerun {} repeats it; poster continue --force goes on", id));
    fetch_evicted(workspace, id, "files");
    AttemptPlan plan;
    plan.id = id;
    plan.number = newest_attempt(store.run_dir(id)) + 1;
    plan.resumed = true;
    std::vector<std::string> extra;
    for (const auto& word : workspace.settings.list("continue.append"))
        extra.push_back(filled_in(word, store.run_dir(id), id, plan.number));
    extra.insert(extra.end(), arguments.extra.begin(), arguments.extra.end());
    plan.spec = repeatable_spec(run, extra);
    check_runnable(plan.spec);
    return plan;
}

std::vector<std::string> wanted_runs(const Reading& reading, const ContinueArguments& arguments) {
    std::vector<std::string> ids;
    RunFilter filter;
    filter.group = arguments.group;
    if (arguments.group.empty() && !arguments.last_failed) {
        for (const auto& row : find_runs(reading, arguments.runs)) ids.push_back(row.id);
        return ids;
    }
    for (const auto& row : reading.index->list(filter)) {
        if (!has_not_finished(row.status)) continue;
        ids.push_back(row.id);
        if (arguments.last_failed) break;
    }
    std::reverse(ids.begin(), ids.end()); // in the order of their first attempts
    if (!ids.empty()) return ids;
    throw Error(arguments.last_failed ? "no run has failed"
                                      : fmt::format("no run of group {} is to be continued", arguments.group),
                "`poster ls` lists the runs");
}

} // namespace

int continue_runs(const ContinueArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    std::vector<AttemptPlan> plans;
    for (const auto& id : wanted_runs(reading, arguments)) plans.push_back(plan_of(reading.workspace, id, arguments));
    Workspace workspace = std::move(reading.workspace);
    reading.index.reset();
    LaunchOptions options;
    options.jobs = int(std::min(arguments.jobs.value_or(1), plans.size()));
    options.quiet = arguments.quiet;
    execute_plans(workspace, std::move(plans), options, arguments.detach);
}

} // namespace poster
