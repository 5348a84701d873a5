#!/usr/bin/env bash
# A run as a Slurm job array, from the machine that jobs are submitted on:
#
#     examples/slurm_array.sh dictionary run.toml 100
#
# The store is made by one job, its shards are computed by 100 tasks, and a last job checks that all is there. Every task
# owns its shards, and skips those that are done: after a failure, submit the same again.
set -euo pipefail
command=$1 file=$(realpath "$2") count=$3
submit() { sbatch --parsable --requeue --kill-on-invalid-dep=yes --output="slurm-%A_%a.log" "$@"; }

made=$(submit --job-name=prepare --wrap "epgnumba $command '$file' --prepare --array-count $count")
shares=$(submit --job-name=shares --dependency="afterok:$made" --array="0-$((count - 1))" --cpus-per-task=1 \
    --wrap "epgnumba $command '$file' --workers 1 --array-index \$SLURM_ARRAY_TASK_ID --array-count $count")
submit --job-name=finish --dependency="afterok:$shares" --wrap "epgnumba $command '$file' --finish"
