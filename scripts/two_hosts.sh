#!/usr/bin/env bash
# Two machines on one: 2 x 2 ranks of torchrun in two network namespaces, whose connection is cut in the middle of a run.
#
#     sudo scripts/two_hosts.sh CORETUNE TORCHRUN FOLDER ARGUMENTS...
#
# CORETUNE is the program, TORCHRUN that of the environment of `make peers`, FOLDER a new folder for runs, ARGUMENTS those of
# `coretune fit` without --output. Checked: the ranks on both sides end by themselves, with a sentence; started again with
# --resume, the run ends with the bytes of one that was not disturbed. Needs root, for the namespaces.
set -euo pipefail
coretune=$(realpath "$1") torchrun=$(realpath -s "$2") folder=$3
shift 3
mkdir -p "$folder"
hosts=(coretune-a coretune-b)

cleanup() {
    for host in "${hosts[@]}"; do ip netns del "$host" 2>/dev/null || true; done
}
trap cleanup EXIT
cleanup
for host in "${hosts[@]}"; do
    ip netns add "$host"
    ip -n "$host" link set lo up
done
ip link add cut-a netns coretune-a type veth peer name cut-b netns coretune-b
ip -n coretune-a addr add 10.77.0.1/24 dev cut-a
ip -n coretune-b addr add 10.77.0.2/24 dev cut-b
ip -n coretune-a link set cut-a up
ip -n coretune-b link set cut-b up

# Both hosts' ranks of a run; their words go to RUN.HOST.txt.
start() {
    local run=$1 node=0
    shift
    pids=()
    for host in "${hosts[@]}"; do
        ip netns exec "$host" "$torchrun" --nnodes 2 --nproc-per-node 2 --node-rank $node --master-addr 10.77.0.1 \
            --master-port 29511 --no-python "$coretune" fit --output "$folder/$run" --rank-timeout 10 "$@" \
            >>"$folder/$run.$host.txt" 2>&1 &
        pids+=($!)
        node=$((node + 1))
    done
}

both_end_with() {
    local status
    for pid in "${pids[@]}"; do
        status=0
        wait "$pid" || status=$?
        if [ "$1" = done ] && [ $status -ne 0 ]; then echo "a host ended with status $status, see $folder/*.txt"; exit 1; fi
        if [ "$1" = failure ] && [ $status -eq 0 ]; then echo "a host did not notice the cut"; exit 1; fi
    done
}

start undisturbed "$@"
both_end_with "done"
start cut "$@"
metrics="$folder/cut/metrics.jsonl"
until [ "$(cat "$metrics" 2>/dev/null | wc -l)" -ge 6 ]; do sleep 0.05; done
ip -n coretune-b link set cut-b down
both_end_with failure
grep -h "error: " "$folder"/cut.*.txt | sort -u
ip -n coretune-b link set cut-b up
start cut --resume "$@"
both_end_with "done"
cmp "$folder"/{undisturbed,cut}/checkpoints/last.safetensors
echo "equal, byte for byte"
