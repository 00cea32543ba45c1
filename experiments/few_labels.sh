#!/usr/bin/env bash
# Few labels: what beats the linear probe? The protocol of docs/design/experiments.md.
#
#     experiments/few_labels.sh CORETUNE ENCODER DATA OUTPUT LABELS EPOCHS [OPTION OF COMPARE...]
#
# LABELS per class train and as many validate. The learning rate of each row is chosen on seed 0 by the validation images, then seeds 1
# and 2 are run. Given again, the command resumes. `experiments/wise_ft.py CORETUNE OUTPUT` adds WiSE-FT of every row. ROWS, LR, TRIALS
# and SEEDS change the search.
set -euo pipefail
coretune=$1 encoder=$2 data=$3 output=$4 labels=$5 epochs=$6
still=:freeze-batch-norm=true:weight-decay=0
rows=linear-probe,lp-ft,lp-ft$still,lp-ft:trainable=norms$still
exec "$coretune" compare --pretrained-path "$encoder" --data-dir "$data" --per-class "$labels" --val-per-class "$labels" \
    --batch-size 50 --epochs "$epochs" --methods "${ROWS:-$rows}" --baseline linear-probe \
    --tune "lr=${LR:-0.003,0.01,0.03}" --trials "${TRIALS:-3}" --seeds "${SEEDS:-3}" --output "$output" "${@:7}"
