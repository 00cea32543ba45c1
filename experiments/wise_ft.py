"""WiSE-FT (B12) of the rows of a comparison that began from the linear probe.

    experiments/wise_ft.py CORETUNE runs/few-labels [OPTION OF EVALUATE...]

For every seed and number of labels in a folder of `coretune compare`, the run of `linear-probe` and that of a row `lp-ft...` are
interpolated (`coretune average --recipe interpolate`; the validation images choose how far) into FOLDER/wise-ft, and evaluated on the
test images. Prints a Markdown table: top-1 in %, mean and standard deviation over seeds, and the paired differences from the probe and
from the row itself in points, with a 95 % interval of 10,000 bootstrap draws of images. Given again, it resumes.
"""

import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path

import paired_effect


def correct(logits):
    """Whether the class with the largest logit is right, by image; `logits` is a file of `coretune evaluate --logits`."""
    with open(logits, newline="") as file:
        _, _, *classes = next(rows := csv.reader(file))
        right = {}
        for image, label, *values in rows:
            best = max(range(len(values)), key=lambda place: float(values[place]))
            right[image] = int(classes[best] == label)
        return right


def run(command):
    """Runs a command, whose messages are shown, and stops where it fails."""
    if subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"error: this failed: {' '.join(map(str, command))}")


def interpolated(coretune, runs, probe, tuned, options):
    """Whether each test image is right for the interpolation of two runs, and the weight that the tuned one got."""
    folder = runs.parent / "wise-ft" / tuned
    logits = folder.with_suffix(".csv")
    if not (folder / "summary.json").exists():
        run([coretune, "average", runs / probe, runs / tuned, "--recipe", "interpolate", "--output", folder, *options])
    if not logits.exists():
        part = logits.with_suffix(".part")
        part.unlink(missing_ok=True)
        run([coretune, "evaluate", folder, "--split", "test", "--logits", part, *options])
        part.rename(logits)
    weights = json.loads((folder / "average.json").read_text())["chosen"]["weights"]
    return correct(logits), weights[1]


def line(cells):
    return f"| {' | '.join(cells)} |"


def difference(one, other):
    """Points of top-1 by which one row of runs, by seed, is better than another."""
    mean, (low, high), _ = paired_effect.effect([(one, other)])
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def table(coretune, folder, options):
    """The lines of the table."""
    rows = json.loads((folder / "table.json").read_text())["rows"]
    runs = folder / "runs"
    probes = {row["labels_per_class"]: dict(zip(row["seeds"], row["runs"])) for row in rows if row["method"] == "linear-probe"}
    if not probes:
        sys.exit(f"error: {folder} has no row `linear-probe`, which WiSE-FT begins from")
    yield line(["labels per class", "row", "top-1 without", "WiSE-FT", "weight of the run", "minus linear probe", "minus the row"])
    yield line(["---"] * 7)
    for row in rows:
        if not row["method"].startswith("lp-ft"):
            continue
        labels, probe = row["labels_per_class"], probes[row["labels_per_class"]]
        tuned = dict(zip(row["seeds"], row["runs"]))
        wise, weights = {}, []
        for seed, name in tuned.items():
            wise[seed], weight = interpolated(coretune, runs, probe[seed], name, options)
            weights.append(f"{weight:.1f}")
        of = {seed: paired_effect.correct(runs / name / "predictions.csv") for seed, name in tuned.items()}
        start = {seed: paired_effect.correct(runs / name / "predictions.csv") for seed, name in probe.items()}
        yield line([str(labels or "all"), f"`{row['method']}`", spread(of), spread(wise), ", ".join(weights),
                    difference(wise, start), difference(wise, of)])


def spread(runs):
    """Mean and standard deviation over seeds of top-1 in %."""
    means = [100 * statistics.fmean(run.values()) for run in runs.values()]
    return f"{statistics.fmean(means):.1f} ± {statistics.stdev(means):.1f}" if len(means) > 1 else f"{means[0]:.1f}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    print("\n".join(table(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])))


if __name__ == "__main__":
    main()
