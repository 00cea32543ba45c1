#!/usr/bin/env python3
"""Images a second of two ranks with one thread each, beside one process with two threads, at the same global batch.

    python3 scripts/ranks_throughput.py target/release/coretune
    python3 scripts/ranks_throughput.py target/release/coretune --rounds 7 --steps 20 --keep FOLDER

ResNet-18 with random weights, noise of 64 x 64 pixels, 64 images a step, float32, core-tuning. The two take turns, and every
second round begins with the other one. Images a second are those of `summary.json`: training without evaluation. The first
round warms up and does not count. Run it on a machine that does nothing else: it prints the load at its start.

Exit status: 0 the median of two ranks is at least 0.9 of that of one process, 1 it is less or a run failed.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

from same_weights import write_checkpoint

SIDE = 64
BATCH = 64
CLASSES = ("first", "second")
FIXED = ["--img-size", str(SIDE), "--no-probe", "--amp", "off", "--epochs", "1", "--device", "cpu", "--seed", "0"]
SETUPS = {
    "one process, two threads": ["--batch-size", str(BATCH), "--threads", "2", "--workers", "2"],
    "two ranks, one thread": ["--batch-size", str(BATCH // 2), "--ranks", "2", "--threads", "1", "--workers", "1"],
}
ENOUGH = 0.9


def write_noise(folder, images):
    """Images of noise as PPM: so many to train on, of two classes, and one of each class to validate on."""
    draw = random.Random(1)
    for name in CLASSES:
        for split, count in (("train", images // len(CLASSES)), ("val", 1)):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(count):
                pixels = draw.randbytes(3 * SIDE * SIDE)
                (place / f"{index:05}.ppm").write_bytes(b"P6 %d %d 255\n" % (SIDE, SIDE) + pixels)


def measure(coretune, world, name, arguments):
    """Images a second of a run, and what its ranks exchanged in a step: bytes and seconds, 0 for a single process."""
    output = world / name
    inputs = ["--pretrained-path", str(world / "resnet18.safetensors"), "--data-dir", str(world / "noise")]
    command = [coretune, "fit", *inputs, "--output", str(output), *FIXED, "--log-every", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    summary = json.loads((output / "summary.json").read_text())
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if "exchanged_bytes" in record]
    median = lambda key: statistics.median(step[key] for step in steps) if steps else 0
    return summary["images_per_second"], median("exchanged_bytes"), median("exchange_seconds")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("coretune", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--steps", type=int, default=10, help="steps of a run")
    parser.add_argument("--keep", type=pathlib.Path, help="a new folder for images and runs, which then stay")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        world = asked.keep or pathlib.Path(temporary)
        world.mkdir(parents=True, exist_ok=True)
        write_noise(world / "noise", BATCH * asked.steps)
        write_checkpoint(world / "resnet18.safetensors", 1.0)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {asked.steps} steps of {BATCH} images")
        rates = {name: [] for name in SETUPS}
        for number in range(asked.rounds + 1):
            order = list(SETUPS.items())[:: 1 if number % 2 == 0 else -1]
            for name, arguments in order:
                found = measure(asked.coretune, world, f"{number}-{name.split()[0]}", arguments)
                counts = "warms up" if number == 0 else f"round {number}"
                rate, bytes_of_step, seconds = found
                print(f"{counts}: {name}: {rate:.1f} images/s; a step exchanged {bytes_of_step:,.0f} bytes in {seconds:.3f} s")
                if number > 0:
                    rates[name].append(rate)
    one, two = (statistics.median(values) for values in rates.values())
    print(f"medians: one process {one:.1f}, two ranks {two:.1f} images/s: {two / one:.2f}")
    return 0 if two >= ENOUGH * one else 1


if __name__ == "__main__":
    sys.exit(main())
