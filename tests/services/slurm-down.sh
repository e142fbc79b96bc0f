#!/usr/bin/env bash
# Stops what slurm-up.sh STATE started, jobs included. A cluster that is started again is a new one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
state=$(cd "${1:?usage: slurm-down.sh STATE}" && pwd -P)
export SLURM_CONF=$state/slurm.conf

# One that was pending a moment ago may run now, hence both each time.
no_jobs_are_left() {
    local jobs
    jobs=$(timeout 5 squeue --noheader)
    [ -n "$jobs" ] || return 0
    timeout 5 scancel --user=root --state=PENDING
    timeout 5 scancel --user=root --state=RUNNING --full --signal=KILL
    return 1
}
if alive "$state/slurmctld.pid"; then
    wait_for "The end of the jobs" "$state/slurmctld.log" no_jobs_are_left || true
    kill -KILL "$(cat "$state/slurmctld.pid")" || true # it would take seconds to end, and is to forget them
fi
rm -rf "$state/controller"
for file in slurmctld.pid slurmd.one.pid slurmd.two.pid munge/pid; do
    stop_by "$state/$file" & # each takes a second or two
done
wait
