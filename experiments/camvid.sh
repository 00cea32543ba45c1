#!/usr/bin/env bash
# CamVid, the protocol of docs/design/experiments.md: random initialisation, cross-entropy, LP-FT, SCL, Core-tuning and the
# linear probe from one encoder.
#
#     experiments/camvid.sh CORETUNE ENCODER DATA OUTPUT [OPTION OF COMPARE...]
#
# Settings are chosen on seed 0 by the mean IoU of the validation frames, then seeds 1 and 2 are run. Given again, the
# command resumes: a run that has finished is not repeated. If an end of the grid is best, LR and TRIALS add a value, such
# as LR=0.003,0.01,0.03,0.1 TRIALS=4. EPOCHS=1 SEEDS=1 try it.
set -euo pipefail
coretune=$1 encoder=$2 data=$3 output=$4
exec "$coretune" compare --task segmentation --pretrained-path "$encoder" --data-dir "$data" --ignore-index 11 \
    --methods random-init,cross-entropy,lp-ft,scl,core-tuning,linear-probe --baseline cross-entropy \
    --tune "lr=${LR:-0.01,0.03,0.1}" --trials "${TRIALS:-3}" --seeds "${SEEDS:-3}" \
    --head deeplabv3 --output-stride 16 --crop 160 --batch-size 8 --epochs "${EPOCHS:-30}" --output "$output" "${@:5}"
