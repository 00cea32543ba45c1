"""The mean difference between rows of a comparison over several pairs of rows: the effect of one factor of a factorial design.

    experiments/paired_effect.py runs/imagenet20-factorial 'core-tuning:projection=checkpoint - core-tuning' \\
        'core-tuning:mixed-weight=0:projection=checkpoint - core-tuning:mixed-weight=0'

Reads table.json and the predictions on the test images in a folder of `coretune compare`. Pairs share images and seeds. Prints
points of top-1 with a 95 % interval of 10,000 bootstrap draws of images, and the difference of each seed.
"""

import csv
import json
import random
import statistics
import sys
from pathlib import Path

DRAWS = 10_000


def correct(predictions):
    """Whether each test image was right, by its name."""
    with open(predictions, newline="") as file:
        return {row["image"]: int(row["label"] == row["predicted"]) for row in csv.DictReader(file) if row["split"] == "test"}


def rows(folder):
    """The runs of each row, by seed."""
    table = json.loads((folder / "table.json").read_text())
    return {row["method"]: {seed: correct(folder / "runs" / run / "predictions.csv") for seed, run in zip(row["seeds"], row["runs"])}
            for row in table["rows"]}


def effect(pairs):
    """Points of top-1: mean, interval over images, and the mean of each seed. `pairs` are rows as `rows` returns them."""
    seeds = sorted(set.intersection(*(set(row) for pair in pairs for row in pair)))
    images = sorted(set.intersection(*(set(run) for pair in pairs for row in pair for run in row.values())))
    differences = {seed: [100 * statistics.fmean(first[seed][image] - second[seed][image] for first, second in pairs)
                          for image in images] for seed in seeds}
    of_images = [statistics.fmean(values) for values in zip(*differences.values())]
    draw = random.Random(0)
    means = sorted(statistics.fmean(draw.choices(of_images, k=len(of_images))) for _ in range(DRAWS))
    interval = (means[int(0.025 * DRAWS)], means[int(0.975 * DRAWS)])
    return statistics.fmean(of_images), interval, [statistics.fmean(values) for values in differences.values()]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    found = rows(Path(sys.argv[1]))
    pairs = []
    for argument in sys.argv[2:]:
        names = argument.split(" - ")
        if len(names) != 2 or not all(found.get(name) for name in names):
            sys.exit(f"error: found `{argument}`, expected two of these rows with ` - ` between them: {', '.join(found)}")
        pairs.append([found[name] for name in names])
    mean, (low, high), of_seeds = effect(pairs)
    print(f"{mean:+.2f} points (95 %: {low:+.2f} to {high:+.2f}); by seed {', '.join(f'{value:+.1f}' for value in of_seeds)}")


if __name__ == "__main__":
    main()
