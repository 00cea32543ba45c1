#!/usr/bin/env bash
# Every method of fine-tuning at its defaults, with 20 labels per class at 32 pixels.
#
#     experiments/methods.sh CORETUNE CHECKPOINT DATA OUTPUT SEED...
#     python3 experiments/methods_table.py OUTPUT
#
# Nothing is tuned: one learning rate for all, 15 epochs. A run that is finished is not run again.
set -euo pipefail
coretune=$1 checkpoint=$2 data=$3 output=$4
shift 4
common=(--pretrained-path "$checkpoint" --data-dir "$data" --per-class 20 --val-per-class 15 --img-size 32
    --epochs 15 --batch-size 50 --lr 0.01 --threads 1 --workers 1)

run() {  # NAME FLAGS...
    local folder=$output/$1-$seed
    shift
    [ -f "$folder/summary.json" ] && return
    rm -rf "$folder"
    "$coretune" fit "${common[@]}" "$@" --seed "$seed" --output "$folder" > "$folder.txt" 2>&1 || echo "failed: $folder.txt"
}

average() {  # NAME RECIPE RUN...
    local folder=$output/$1-$seed recipe=$2
    shift 2
    [ -f "$folder/summary.json" ] && return
    rm -rf "$folder"
    "$coretune" average "$@" --recipe "$recipe" --threads 1 --output "$folder" > "$folder.txt" 2>&1 || echo "failed: $folder.txt"
}

for seed in "$@"; do
    for method in linear-probe cross-entropy scl core-tuning l2-sp delta bss rifle mix-and-match bi-tuning coin dr-tune; do
        run "$method" --method "$method"
    done
    run lp-ft --method cross-entropy --head-init linear-probe
    run lp-ft-slow --method cross-entropy --head-init linear-probe --lr 0.003
    run norms --method cross-entropy --head-init linear-probe --trainable norms
    run last-1 --method cross-entropy --head-init linear-probe --trainable last:1
    run probe-flip --method linear-probe --tta flip
    run lp-ft-flip --method cross-entropy --head-init linear-probe --tta flip
    average wise-ft interpolate "$output/linear-probe-$seed" "$output/lp-ft-$seed"
    average soup uniform "$output/linear-probe-$seed" "$output/lp-ft-$seed" "$output/lp-ft-slow-$seed"
done
