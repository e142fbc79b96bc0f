#pragma once
// Ends runs whose poster is gone: their processes, their outcome. (Their end hooks are run by the caller, who holds the
// claim meanwhile.)

#include <functional>
#include <string>
#include <vector>

#include <poster/run.hpp>

#include "liveness.hpp"
#include "store.hpp"

namespace poster {

struct Abandoned {
    std::string id;
    int attempt = 1;
    LifeSign sign;            // holds the claim
    bool has_outcome = false; // only its end hooks are missing, if anything: the caller knows
    bool fetched = false;     // a copy of one that went on: it is recorded, and nothing else is done
    bool child_alive = false; // processes of the run are still there: end them before the outcome is written
};

// Every active run of this store whose poster is dead, claimed. Reads active/ only. Leaves out the runs that this very
// process belongs to: it cannot end what it lives in.
std::vector<Abandoned> claim_abandoned(const Store& store);
// SIGTERM (with SIGCONT) to every process of the run, SIGKILL after `grace`; waits until none is left.
// Finds them by pid + start time, by descent, and by POSTER_RUN_ID in their environment. Where the start time is not
// known (0), `child` counts only if its environment names the run.
void end_processes(const std::string& run_id, pid_t child, Milliseconds grace, std::uint64_t child_start_ticks = 0);
// Writes the outcome `lost` into attempt.json, unless it has one, and announces it.
Outcome record_lost(const Store& store, const Abandoned& run);

} // namespace poster
