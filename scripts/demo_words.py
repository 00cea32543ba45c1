#!/usr/bin/env python3
"""What `make demo` has seen, in one line: the two runs' summary.json in words, whichever of them came out ahead.

    python3 scripts/demo_words.py runs/demo/cross-entropy runs/demo/core-tuning
"""

import json
import math
import pathlib
import sys

LABELS = 200
TEST_IMAGES = 10_000


def summary(run):
    return json.loads((pathlib.Path(run) / "summary.json").read_text())


def chance(first, second):
    """Half the 95 % interval of a difference of two shares of the test images, taken as independent.

    The same images judged twice are not independent, and their interval is narrower: the report has that one.
    """
    return 1.96 * math.sqrt(sum(share * (1 - share) for share in (first, second)) / TEST_IMAGES)


def compared(name, share, other, other_share):
    points = 100 * (share - other_share)
    if abs(points) < 0.05:
        return f"{name} and {other} are level"
    side = "above" if points > 0 else "below"
    size = "more than" if abs(points) > 100 * chance(share, other_share) else "no more than"
    return f"{name} is {abs(points):.1f} points {side} {other}, {size} chance on so many images"


def words(cross_entropy, core_tuning):
    """The last line of the demonstration, from two summaries."""
    probe = core_tuning["probe"]["linear_top1"]
    shares = {
        "linear probe": probe,
        "cross-entropy": cross_entropy["test"]["top1"],
        "Core-tuning": core_tuning["test"]["top1"],
    }
    figures = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    ahead_of = [("cross-entropy", shares["cross-entropy"]), ("the linear probe", probe)]
    against = "; ".join(compared("Core-tuning", shares["Core-tuning"], *other) for other in ahead_of)
    return f"with {LABELS} labels, and {LABELS} more to choose the epoch: {figures} of {TEST_IMAGES:,} test images; {against}"


if __name__ == "__main__":
    print(words(*map(summary, sys.argv[1:3])))
