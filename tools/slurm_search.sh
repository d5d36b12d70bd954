#!/usr/bin/env bash
# tools/slurm_search.sh PARTITION JOB CONFIG GPUS [options of tools/search.py]
# GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS from the environment.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -ge 4 ] || { echo "usage: $0 PARTITION JOB CONFIG GPUS [options]" >&2; exit 2; }
PARTITION=$1 JOB=$2 CONFIG=$3 GPUS=$4
shift 4
PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
# shellcheck disable=SC2086  (SRUN_ARGS is a list of words)
exec env PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}" srun -p "$PARTITION" --job-name="$JOB" \
    --gres="gpu:$PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-4}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$HERE/search.py" "$CONFIG" --launcher slurm "$@"
