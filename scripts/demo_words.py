#!/usr/bin/env python3
"""What `make demo` has seen, in one line: the two runs' summary.json in words, whichever of them came out ahead.

    python3 scripts/demo_words.py runs/demo/cross-entropy runs/demo/core-tuning
"""

import json
import pathlib
import sys

LABELS = 200
TEST_IMAGES = 10_000


def summary(run):
    return json.loads((pathlib.Path(run) / "summary.json").read_text())


def compared(share, other, other_share):
    points = round(100 * (share - other_share), 1)
    if points == 0:
        return f"level with {other}"
    return f"{abs(points):.1f} points {'above' if points > 0 else 'below'} {other}"


def words(cross_entropy, core_tuning):
    """The last line of the demonstration, from two summaries."""
    probe = core_tuning["probe"]["linear_top1"]
    plain, tuned = cross_entropy["test"]["top1"], core_tuning["test"]["top1"]
    figures = {"linear probe": probe, "cross-entropy": plain, "Core-tuning": tuned}
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in figures.items())
    # Whether that is more than chance needs the images one by one: the report has it, paired.
    return (
        f"with {LABELS} labels, and {LABELS} more to choose the epoch: {shares} of {TEST_IMAGES:,} test images; "
        f"Core-tuning is {compared(tuned, 'cross-entropy', plain)} and {compared(tuned, 'the linear probe', probe)} "
        "(one seed; the page says what is more than chance)"
    )


if __name__ == "__main__":
    print(words(*map(summary, sys.argv[1:3])))
