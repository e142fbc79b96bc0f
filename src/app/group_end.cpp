#include "group_end.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <registry.hpp>

#include "background_sync.hpp"

namespace poster {

namespace {

Run run_of(const Workspace& workspace, const AttemptPlan& plan) {
    Run run;
    run.id = plan.id;
    run.dir = workspace.store.run_dir(plan.id);
    run.store = workspace.store.dir();
    run.attempt = plan.number;
    run.spec = plan.spec;
    return run;
}

} // namespace

void run_group_end_hooks(const Workspace& workspace, const AttemptPlan& last, const GroupOutcome& outcome) {
    bool queued = false;
    Run run = run_of(workspace, last);
    run.queue = [&](OutboxEntry entry) {
        entry.attempt = last.number;
        queue_delivery(workspace.store, last.id, entry);
        queued = true;
    };
    for (const auto* entry : registry()) {
        if (!entry->hooks.group_end || !activation_of(*entry, workspace.settings).on) continue;
        try {
            entry->create(workspace.settings)->on_group_end(run, outcome);
        } catch (const std::exception& error) {
            say(fmt::format("warning: callback {}: {}", entry->name, error.what()));
        }
    }
    if (!queued) return;
    BackgroundSync(workspace, {last.id}).start_last();
}

} // namespace poster
