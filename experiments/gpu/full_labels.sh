#!/usr/bin/env bash
# All labels and long schedules on one GPU, in DEADLINE seconds; see full_labels.py. Needs python3 and a release build.
#
#     experiments/gpu/full_labels.sh DEADLINE --coretune PROGRAM --data CIFAR10 --out FOLDER
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/full_labels.py" "$@"
