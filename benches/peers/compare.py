"""Alternates the Rust and the PyTorch training step in one run and prints the ratio of their medians.

    .peers/bin/python benches/peers/compare.py --rounds 5 [settings of step.py]
    .peers/bin/python benches/peers/compare.py --step moco [settings of moco_step.py]
    .peers/bin/python benches/peers/compare.py --step segmentation [settings of segmentation_step.py]

Both sides run in processes of their own, in turn, so that a slow minute of the machine hits both.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The bench of the Rust side, the script of the other, and the cases when none is named.
STEPS = {
    "fine-tuning": ("training_step", "step.py", [
        ["--model", "mobilenet_v2_32", "--width", "0.5", "--size", "32", "--batch", "64"],
        ["--model", "resnet50", "--size", "224", "--batch", "8"],
    ]),
    "moco": ("pretraining_step", "moco_step.py", [["--width", "0.25", "--size", "32", "--batch", "256", "--groups", "8"]]),
    "segmentation": ("segmentation_step", "segmentation_step.py", [
        ["--model", "resnet18", "--width", "0.5"],
        ["--model", "resnet50", "--width", "1.0"],
        ["--model", "resnet18", "--width", "0.5", "--objective", "evaluate", "--steps", "20"],
        ["--model", "resnet50", "--width", "1.0", "--objective", "evaluate"],
    ]),
}


def images_per_second(command):
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(output.strip(), flush=True)
    return json.loads(output.strip().splitlines()[-1])["images_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step", choices=STEPS, default="fine-tuning")
    parser.add_argument("--rust", help="a built bench binary, in place of `cargo bench`")
    args, settings = parser.parse_known_args()
    bench, script, cases = STEPS[args.step]
    rust = [args.rust] if args.rust else ["cargo", "bench", "--quiet", "-p", "coretune", "--bench", bench, "--"]
    python = [sys.executable, str(ROOT / "benches/peers" / script)]
    for case in [[]] if "--model" in settings or "--batch" in settings else cases:
        sides = {"coretune": [], "pytorch": []}
        for _ in range(args.rounds):
            sides["coretune"].append(images_per_second([*rust, *case, *settings]))
            sides["pytorch"].append(images_per_second([*python, *case, *settings]))
        coretune, pytorch = (statistics.median(side) for side in sides.values())
        pairs = [ours / theirs for ours, theirs in zip(*sides.values())]
        print(json.dumps({
            "case": " ".join(case + settings), "rounds": args.rounds, "coretune_images_per_second": coretune,
            "pytorch_images_per_second": pytorch, "ratio": round(coretune / pytorch, 3),
            "ratio_of_pairs": [round(min(pairs), 3), round(max(pairs), 3)],
        }), flush=True)


if __name__ == "__main__":
    main()
