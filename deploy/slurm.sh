#!/bin/bash
# Run a sweep under Slurm: start Ray on every machine of the job, then the driver on the first one.
#
#   sbatch --nodes=4 --gpus-per-node=8 deploy/slurm.sh search_spaces/vae.yaml --home /shared/runs
#
# The arguments are those of `orchestrate sweep`; the home has to be a folder that every machine sees. Submit the job from
# the activated environment, which every machine has to see, too.
#
# Before the time limit the sweep stops cleanly, and the job queues itself again: the next one goes on. A job that is
# preempted or whose machine fails is queued again by Slurm. After a cancellation, `sbatch` with the same arguments goes on.
#SBATCH --job-name=orchestrate
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.txt
#SBATCH --signal=B:USR1@120
set -euo pipefail

# Ports and folders of its own, so that jobs may share a machine.
base=$((20000 + SLURM_JOB_ID % 20000))
scratch="/tmp/ray-$SLURM_JOB_ID"
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$head:$base"
cpus=${SLURM_CPUS_ON_NODE:-1}
export RAY_USAGE_STATS_ENABLED=0
# As in a Ray that a sweep starts by itself: if a trial takes too much memory, the kernel ends that trial alone.
export RAY_memory_monitor_refresh_ms=0

driver=""
requeue=no
stop_driver() {
    [ -z "$driver" ] || kill -TERM "$driver" 2> /dev/null || true
}
# This shell must not end at a signal: the driver first writes what is finished.
trap stop_driver TERM
trap 'requeue=yes; stop_driver' USR1

start_ray="exec ray start --block --num-cpus=$cpus --object-store-memory=100000000"

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    bash -c "$start_ray --head --port=$base --temp-dir=$scratch --include-dashboard=false" > /dev/null 2>&1 &
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --overlap --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks-per-node=1 --exclude="$head" \
        bash -c "until (: > /dev/tcp/$head/$base); do sleep 1; done; $start_ray --address=$address" \
        > /dev/null 2>&1 &
fi
for _ in $(seq 240); do
    (: > "/dev/tcp/$head/$base") 2> /dev/null && break
    sleep 0.5
done

orchestrate sweep "$@" --address "$address" &
driver=$!
[ "$requeue" = no ] || stop_driver

# `wait` returns at each signal, while the driver still runs.
code=0
while :; do
    code=0
    wait "$driver" || code=$?
    kill -0 "$driver" 2> /dev/null || break
done
if [ "$requeue" = yes ] && [ "$code" -ne 0 ]; then
    echo "The time of this job is over; it is queued again."
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
