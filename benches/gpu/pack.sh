#!/usr/bin/env bash
# Makes FOLDER (default: target/gpu) with what benches/gpu/run.sh needs on another machine: the program without symbols, the
# scripts, the peers and a small encoder. Refuses more than 55 MiB.
#
#     cargo build --release --locked && benches/gpu/pack.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=${1:-target/gpu}
program=${CORETUNE:-${CARGO_TARGET_DIR:-target}/release/coretune}
most=$((55 * 1024))

[ -x "$program" ] || { printf 'error: %s is missing\nhint: cargo build --release --locked, or name a program in CORETUNE\n' "$program" >&2; exit 2; }
rm -rf "$folder"
mkdir -p "$folder"
strip -o "$folder/coretune" "$program"
cp benches/gpu/run.sh benches/gpu/run.py benches/peers/step.py benches/peers/resnet.py "$folder/"
cp assets/fashion-mnist-moco.safetensors "$folder/encoder.safetensors"
size=$(du -sk "$folder" | cut -f1)
if [ "$size" -gt "$most" ]; then
    printf 'error: %s has %s KiB, the limit is %s KiB\n' "$folder" "$size" "$most" >&2
    exit 1
fi
printf '%s: %s KiB\n' "$folder" "$size"
