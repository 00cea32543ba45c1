#!/usr/bin/env bash
# Which part of Core-tuning costs accuracy on ImageNet20: the protocol of docs/design/experiments.md.
#
#     experiments/imagenet20_factorial.sh CORETUNE ENCODER DATA OUTPUT [OPTION OF COMPARE...]
#
# Rows of the mixed images {none; weight 0.3; as published} x contrast {none; random projection head; the checkpoint's own}.
# Settings are chosen on seed 0 by the validation images, then seeds 1 and 2 are run. Given again, the command resumes.
# EPOCHS=120 is the long schedule; LR, TRIALS and SEEDS change the search.
set -euo pipefail
coretune=$1 encoder=$2 data=$3 output=$4
rows=cross-entropy
rows+=,core-tuning:mixed-weight=0,core-tuning:mixed-weight=0:projection=checkpoint
rows+=,core-tuning:mixed-weight=0.3:eta=0,core-tuning:mixed-weight=0.3,core-tuning:mixed-weight=0.3:projection=checkpoint
rows+=,core-tuning:eta=0,core-tuning,core-tuning:projection=checkpoint
exec "$coretune" compare --pretrained-path "$encoder" --data-dir "$data" --train-split train --test-split val \
    --val-per-class 20 --img-size 64 --epochs "${EPOCHS:-30}" --batch-size 64 --methods "${ROWS:-$rows}" --baseline cross-entropy \
    --tune "lr=${LR:-0.03,0.1,0.3}" --trials "${TRIALS:-3}" --seeds "${SEEDS:-3}" --output "$output" "${@:5}"
