#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# On a CPU GPUS is the number of processes; they use gloo.
# NNODES, NODE_RANK, MASTER_ADDR and PORT for more than one machine.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -ge 2 ] || { echo "usage: $0 CONFIG GPUS [options]" >&2; exit 2; }
CONFIG=$1 GPUS=$2
shift 2
exec env PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" "$HERE/train.py" "$CONFIG" --launcher pytorch "$@"
