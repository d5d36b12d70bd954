#!/usr/bin/env bash
# tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT GPUS [options of tools/test.py]
# GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS from the environment.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -ge 5 ] || { echo "usage: $0 PARTITION JOB CONFIG CHECKPOINT GPUS [options]" >&2; exit 2; }
PARTITION=$1 JOB=$2 CONFIG=$3 CHECKPOINT=$4 GPUS=$5
shift 5
PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
# shellcheck disable=SC2086  (SRUN_ARGS is a list of words)
exec env PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}" srun -p "$PARTITION" --job-name="$JOB" \
    --gres="gpu:$PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-4}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$HERE/test.py" "$CONFIG" "$CHECKPOINT" --launcher slurm "$@"
