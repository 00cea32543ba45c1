#!/usr/bin/env bash
# Core-tuning and its peers with all labels of CIFAR-10, on a GPU: the protocol of docs/design/experiments.md.
#
#     experiments/gpu/all_labels.sh CORETUNE ENCODER CIFAR10 OUTPUT [OPTION OF COMPARE...]
#
# Small networks leave most of a GPU idle, so six runs share it. Given again, the command resumes.
set -euo pipefail
coretune=$1 encoder=$2 data=$3 output=$4
rows=linear-probe,cross-entropy,lp-ft,core-tuning,core-tuning:eta=0.1,core-tuning:mixed-weight=0.3:eta=0.1
exec "$coretune" compare --pretrained-path "$encoder" --data-dir "$data" --val-per-class "${VAL:-500}" --img-size 64 \
    --epochs "${EPOCHS:-30}" --batch-size 256 --methods "${ROWS:-$rows}" --baseline cross-entropy --tune "lr=${LR:-0.03,0.1}" \
    --trials "${TRIALS:-2}" --seeds "${SEEDS:-3}" --jobs "${JOBS:-6}" --threads 1 --workers 3 --output "$output" "${@:5}"
