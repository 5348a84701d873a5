#!/usr/bin/env bash
#SBATCH --job-name=epgnumba
#SBATCH --ntasks=2
#SBATCH --cpus-per-task=1
#SBATCH --output=slurm-%j.log
# A run on Dask's workers, one for each task of a Slurm job:
#
#     sbatch --ntasks=64 examples/slurm_dask.sh dictionary run.toml
#
# Of a worker that is lost, the shards are computed by others; of a job that is lost, submit the same again.
set -euo pipefail
command=$1 file=$2
export SCHEDULER_FILE=$PWD/scheduler-$SLURM_JOB_ID.json
dask scheduler --port 0 --no-dashboard --scheduler-file "$SCHEDULER_FILE" &
trap 'kill %1; rm -f "$SCHEDULER_FILE"' EXIT
srun dask worker --scheduler-file "$SCHEDULER_FILE" --nthreads "$SLURM_CPUS_PER_TASK" --no-dashboard --death-timeout 60 &
while [ ! -e "$SCHEDULER_FILE" ]; do sleep 0.1; done
epgnumba "$command" "$file" --scheduler "$SCHEDULER_FILE" --workers "$SLURM_NTASKS"
