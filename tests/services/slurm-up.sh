#!/usr/bin/env bash
# A Slurm cluster on this machine: the nodes one and two, which are two slurmd beside each other. Needs root.
#
#   tests/services/slurm-up.sh STATE [PORT]     then `. STATE/env` and sbatch, srun, squeue
#
# It has neither accounting nor cgroups, and nothing of /etc/slurm or /etc/munge is used. Ports: PORT to PORT+2.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
state=$(make_state "${1:?usage: slurm-up.sh STATE [PORT]}") port=${2:-26817}
host=$(hostname -s)
PATH=$PATH:/usr/sbin
mkdir -p "$state"/{munge,controller,one,two}

# The credential's lifetime is also what a requeued job waits for. What ends by itself within KillWait ends in peace.
cat >"$state/slurm.conf" <<CONF
ClusterName=poster
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$state/munge/socket,cred_expire=10
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/%n
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.%n.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
KillWait=5
ReturnToService=2
PropagateResourceLimits=NONE
AccountingStorageType=accounting_storage/none
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=8 RealMemory=100
NodeName=two NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=8 RealMemory=100
PartitionName=main Nodes=one,two Default=YES
CONF
export SLURM_CONF=$state/slurm.conf
echo "export SLURM_CONF=$SLURM_CONF" >"$state/env"

[ -s "$state/munge/key" ] || (umask 077 && head -c 128 /dev/urandom >"$state/munge/key")
alive "$state/munge/pid" ||
    munged --force --key-file="$state/munge/key" --socket="$state/munge/socket" --pid-file="$state/munge/pid" \
        --log-file="$state/munge/log" --seed-file="$state/munge/seed"
alive "$state/slurmctld.pid" || slurmctld
for node in one two; do
    alive "$state/slurmd.$node.pid" || slurmd -N "$node"
done
answers() {
    alive "$state/slurmctld.pid" && [ "$(timeout 5 sinfo --noheader --Node --format %T)" = $'idle\nidle' ]
}
wait_for "Slurm" "$state/slurmctld.log" answers
