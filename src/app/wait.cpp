// `poster wait`: until runs have ended.

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <records.hpp>

#include "commands.hpp"
#include "reading.hpp"
#include "recover.hpp"

namespace poster {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPoll = 50ms;
constexpr auto kRecoverEvery = 2s;
constexpr int kTimedOut = 124; // as timeout(1)

std::optional<Outcome> outcome_of(const Store& store, const std::string& id) {
    const fs::path dir = store.run_dir(id);
    if (!fs::exists(dir)) throw Error(fmt::format("run {} is gone", id));
    const int number = newest_attempt(dir);
    if (number == 0) return std::nullopt;
    return read_outcome(store.attempt_dir(id, number));
}

// As a shell would see it.
int exit_status(const Outcome& outcome) {
    if (outcome.exit_code) return *outcome.exit_code;
    if (outcome.signal) return 128 + *outcome.signal;
    return outcome.status == Status::finished ? 0 : 1;
}

} // namespace

int wait_for_runs(const WaitArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    std::vector<std::string> ids;
    for (const auto& word : arguments.runs) ids.push_back(reading.index->find(word).id);
    if (!arguments.group.empty()) {
        RunFilter filter;
        filter.group = arguments.group;
        for (const auto& row : reading.index->list(filter)) ids.push_back(row.id);
        if (ids.empty()) throw UsageError(fmt::format("no run belongs to a group '{}'", arguments.group));
    }
    const Workspace workspace = std::move(reading.workspace);
    reading.index.reset();
    std::optional<Clock::time_point> limit;
    if (arguments.timeout) limit = Clock::now() + parse_duration(*arguments.timeout).value_or(0ms);
    int status = 0;
    auto recover_at = Clock::now() + kRecoverEvery;
    for (const auto& id : ids) {
        std::optional<Outcome> outcome;
        while (!(outcome = outcome_of(workspace.store, id))) {
            if (limit && Clock::now() >= *limit) {
                say(fmt::format("run {} has not ended after {}", id, arguments.timeout.value_or("")));
                return kTimedOut;
            }
            std::this_thread::sleep_for(kPoll);
            if (Clock::now() < recover_at) continue;
            recover_abandoned_runs(workspace, 0ms);
            recover_at = Clock::now() + kRecoverEvery;
        }
        if (!arguments.quiet) say(fmt::format("run {} {}", id, outcome->reason));
        if (status == 0) status = exit_status(*outcome);
    }
    return status;
}

} // namespace poster
