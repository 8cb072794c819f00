#!/bin/bash
# xECGNet on a SLURM cluster; both ways go on where they were stopped. Set DATA (the corpus) and RUNS (a shared folder).
#
# A member of a sweep for each job of an array, `xecgnet sweep … --dry-run` lists them:
#   sbatch --array=0-5 --gpus-per-node=1 examples/slurm.sh sweep
# One run on many hosts, a process for each GPU:
#   sbatch --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 examples/slurm.sh train
#
#SBATCH --job-name=xecgnet
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Three minutes before the end the processes, not this script, get SIGUSR1: they save, and end with status 130.
#SBATCH --signal=USR1@180

options=(--preset fast --data "${DATA:?}" --cache "${RUNS:?}/cache")
if [ "${1:?sweep or train}" = sweep ]; then
  command=(xecgnet sweep "${options[@]}" --workdir "$RUNS/sweep" --seeds 0 1 2 --gammas 0 0.01 --member "$SLURM_ARRAY_TASK_ID")
else
  command=(xecgnet train "${options[@]}" --workdir "$RUNS/one" --distributed)
fi

# A process that has ended does not end the others: they are to save. One that hangs is ended after a minute.
srun --kill-on-bad-exit=0 --wait=60 "${command[@]}"
status=$?
if [ "$status" -eq 130 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
