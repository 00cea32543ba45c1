#!/usr/bin/env bash
# The same training step here and in PyTorch, in turn in one run: images per second, as a table.
#   BENCH_ARGS="--threads 2 --seconds 20" make bench
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

results=$(mktemp)
trap 'rm -f "$results"' EXIT
read -ra arguments <<< "${BENCH_ARGS:-}"

cargo bench --locked --package coretune --bench training_step --no-run
for case in "mobilenet_v2_32 32 64" "resnet50 224 16"; do
    read -r model size batch <<< "$case"
    step=(--model "$model" --img-size "$size" --batch-size "$batch" "${arguments[@]}")
    for turn in 1 2 3; do
        echo "$model at $size pixels, batch $batch, turn $turn of 3" >&2
        cargo bench --quiet --locked --package coretune --bench training_step -- "${step[@]}" >> "$results"
        .peers/bin/python benches/peers/training_step.py "${step[@]}" >> "$results"
    done
done
.peers/bin/python benches/peers/table.py "$results"
