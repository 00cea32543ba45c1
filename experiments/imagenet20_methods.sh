#!/usr/bin/env bash
# Every method of fine-tuning on ImageNet20 at 64 pixels: the protocol of docs/design/experiments.md.
#
#     experiments/imagenet20_methods.sh CORETUNE ENCODER DATA OUTPUT [OPTION OF COMPARE...]
#
# The learning rate is chosen on seed 0 by the validation images, then seeds 1 and 2 are run. Given again, the command resumes.
# `experiments/wise_ft.py CORETUNE OUTPUT` adds WiSE-FT. EPOCHS, LR, TRIALS, SEEDS and ROWS change the search.
set -euo pipefail
coretune=$1 encoder=$2 data=$3 output=$4
rows=linear-probe,cross-entropy,lp-ft,scl,core-tuning,core-tuning:mixed-weight=0.3:eta=0.1
rows+=,l2-sp,delta,bss,rifle,mix-and-match,bi-tuning,coin,dr-tune
"$coretune" compare --pretrained-path "$encoder" --data-dir "$data" --train-split train --test-split val \
    --val-per-class 20 --img-size 64 --epochs "${EPOCHS:-30}" --batch-size 64 --methods "${ROWS:-$rows}" --baseline cross-entropy \
    --tune "lr=${LR:-0.03,0.1}" --trials "${TRIALS:-2}" --seeds "${SEEDS:-3}" --output "$output" "${@:5}"
