#!/usr/bin/env bash
# Fine-tunes a real contrastive checkpoint (SimCLR on STL-10) on real images (CIFAR-10, 100 labels per class) for a few
# minutes, into a fresh folder under runs/. Both lie in ../shared, or in the folder that CORETUNE_SHARED names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

shared=${CORETUNE_SHARED:-../shared}
checkpoint=$shared/data/checkpoints/simclr_mobilenetv2s_stl10.pth
images=$shared/data/cifar10

if [ ! -f "$checkpoint" ] || [ ! -d "$images" ]; then
    cat >&2 << MISSING
error: the demonstration needs a checkpoint and images that are not part of this repository
  expected   $checkpoint
  expected   $images   (CIFAR-10 as parquet, image folders or CIFAR binary)
hint: put them there, or set CORETUNE_SHARED to the folder that holds data/
MISSING
    exit 2
fi

fresh_folder() {
    local folder=runs/demo number=2
    while [ -e "$folder" ]; do
        folder=runs/demo-$((number++))
    done
    echo "$folder"
}

coretune() {
    printf '\n$ coretune %s\n' "$*"
    "${CARGO_TARGET_DIR:-target}/release/coretune" "$@"
}

cargo build --release --locked
output=$(fresh_folder)
start=$SECONDS
coretune inspect "$checkpoint"
coretune fit --pretrained-path "$checkpoint" --data-dir "$images" --per-class 100 --epochs 8 --output "$output"
coretune evaluate "$output" --data-dir "$images" --split test
printf '\nthe three commands took %d min %d s; the run is in %s\n' $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60)) "$output"
