#!/usr/bin/env python3
"""Times `coretune data check` of two builds by turns: `data_check.py OLD NEW DATA... [--rounds N]`.

Prints the median wall time and processor time of OLD, NEW and NEW with --near-duplicates, and the ratios to OLD. The
processor time is the fairer figure on a machine that others use too.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time


def seconds(command):
    """Wall and processor time of a command."""
    before, start = os.times(), time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - start, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("data", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for data in arguments.data:
        check = ["data", "check", data]
        sides = {
            "old": [arguments.old, *check],
            "new": [arguments.new, *check],
            "near-duplicates": [arguments.new, *check, "--near-duplicates"],
        }
        times = {side: [] for side in sides}
        for _ in range(arguments.rounds):
            for side, command in sides.items():
                times[side].append(seconds(command))
        medians = {side: [statistics.median(column) for column in zip(*rows)] for side, rows in times.items()}
        for side, (wall, processor) in medians.items():
            ratios = f"{wall / medians['old'][0]:.2f} and {processor / medians['old'][1]:.2f} of old"
            print(f"{data} {side}: {wall:.2f} s, {processor:.2f} s of processor, {ratios}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
