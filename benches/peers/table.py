"""Turns the JSON lines of `make bench` into a table for docs/benchmarks.md: the median turn of each engine, and their ratio."""

import collections
import json
import statistics
import sys


def main():
    turns = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(sys.argv[1], encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            case = (row["model"], row["img_size"], row["batch_size"], row["precision"], row["threads"])
            turns[case][row["engine"].split()[0]].append(row["images_per_second"])
    print("| model | pixels | batch | precision | threads | coretune, images/s | PyTorch, images/s | ratio | turns |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case, engines in turns.items():
        ours, theirs = engines["coretune"], engines["PyTorch"]
        ratio = statistics.median(ours) / statistics.median(theirs)
        print("|", " | ".join(map(str, case)), f"| {spread(ours)} | {spread(theirs)} | {ratio:.2f} | {len(ours)} |")


def spread(values):
    """Median, and the slowest and quickest turn."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
