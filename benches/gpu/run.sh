#!/usr/bin/env bash
# Checks coretune on a GPU and measures it beside PyTorch, in SECONDS at most; see run.py. Needs python3 with torch 2.11.
#
#     ./run.sh SECONDS [--device cuda|cpu] [--out FOLDER]
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/run.py" "$@"
