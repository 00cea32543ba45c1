#!/usr/bin/env bash
# Makes .peers, a Python environment with PyTorch: for benchmarks beside it and for writing fixtures. Neither the
# program nor its tests need it. Does nothing when it is there with the very versions of benches/peers/requirements.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=.peers
requirements=benches/peers/requirements.txt

if cmp -s "$requirements" "$folder/complete"; then
    echo "peers: $folder is there"
    exit
fi
if ! command -v python3 > /dev/null || ! python3 -c 'import ensurepip, venv' 2> /dev/null; then
    printf 'error: python3 with its venv module is missing\n' >&2
    printf 'hint: install it (Debian, Ubuntu: apt-get install python3 python3-venv)\n' >&2
    exit 2
fi
rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --disable-pip-version-check -r "$requirements"
cp "$requirements" "$folder/complete"
