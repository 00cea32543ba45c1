#!/usr/bin/env bash
# Fashion-MNIST with 20 labels per class, from an encoder that `coretune pretrain` made of the same images without labels:
# linear probe, cross-entropy and Core-tuning on the 10,000 test images, and a page with both runs side by side.
# About a minute on two free cores. Needs the program (`make build`; or CORETUNE names another) and nothing else from here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=${CORETUNE:-${CARGO_TARGET_DIR:-target}/release/coretune}
encoder=assets/fashion-mnist-moco.safetensors
labels=(--per-class 20 --val-per-class 20 --seed 0)
budget=(--head-init linear-probe --epochs 30 --batch-size 50)
# Each the best of six settings, by validation on seed 1 (docs/results/demo.md); nothing was chosen with test images.
cross_entropy=(--method cross-entropy --lr 0.1)
core_tuning=(--method core-tuning --lr 0.01 --eta 1)

fresh_folder() {
    local folder=runs/demo number=2
    while [ -e "$folder" ]; do
        folder=runs/demo-$((number++))
    done
    echo "$folder"
}

# Says a command, then runs it.
coretune() {
    printf '\n$ coretune %s\n' "$*" >&2
    "$program" "$@"
}

step() {
    printf '\n== %s of 6: %s\n' "$1" "$2" >&2
}

fine_tune() {
    coretune fit --pretrained-path "$encoder" --data-dir "$images" "${labels[@]}" "${budget[@]}" "${@:2}" --output "$1"
}

folder=$(fresh_folder)
step 1 "the images"
images=$(coretune data fetch fashion-mnist)
step 2 "the encoder, made by coretune pretrain --recipe fashion-mnist-moco"
coretune inspect "$encoder"
step 3 "what its features are worth before any fine-tuning"
coretune probe "$encoder" --data-dir "$images" "${labels[@]}"
step 4 "fine-tuning with cross-entropy"
fine_tune "$folder/cross-entropy" "${cross_entropy[@]}"
step 5 "fine-tuning with Core-tuning, same labels, same budget"
fine_tune "$folder/core-tuning" "${core_tuning[@]}"
step 6 "a page with both runs"
page=$folder/report.html
coretune report "$folder/cross-entropy" "$folder/core-tuning" --output "$page" > /dev/null

printf '\ndone in %d min %d s; the page to open in a browser:\n%s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$page"
python3 scripts/demo_words.py "$folder/cross-entropy" "$folder/core-tuning"
