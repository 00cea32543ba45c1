"""Turns what label_efficiency.py measured into markdown for docs/results/labels.md and, if asked for, a figure.

    python3 experiments/tabulate_label_efficiency.py runs/label-efficiency > curve.md
    python3 experiments/tabulate_label_efficiency.py runs/label-efficiency --figure docs/label-efficiency.svg > curve.md

Test top-1 by method and labels per class; paired differences (same seed: same labels, order and initial weights of the
heads) to cross-entropy and to LP-FT with a paired t-test; what was chosen, calibration and geometry. No p is corrected for
the number of comparisons. tabulate.py says more of one count. The figure needs matplotlib, the tables do not.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from pathlib import Path

from tabulate import mean_sd, paired, probe_figures, read_runs, top1

PROBE = "linear probe, frozen"
REFERENCES = ["cross-entropy", "LP-FT"]

# Colours of Okabe and Ito; markers tell the lines apart without them.
STYLES = {
    PROBE: {"color": "#000000", "marker": "o", "linestyle": "--"},
    "cross-entropy": {"color": "#D55E00", "marker": "s"},
    "LP-FT": {"color": "#E69F00", "marker": "^"},
    "Core-tuning own": {"color": "#0072B2", "marker": "D"},
    "Core-tuning own, LP head": {"color": "#009E73", "marker": "v"},
}


@dataclasses.dataclass(frozen=True)
class Point:
    """What was measured with one count of labels per class."""

    count: int
    comparison: dict
    summaries: dict  # by method, then by seed
    figures: dict  # test top-1 in per cent by method, the linear probe first; a list over the seeds


def read_curve(folder):
    """The finished counts, smallest first."""
    finished = [path.parent for path in folder.glob("*-per-class/comparison.json")]
    return sorted((read_point(path) for path in finished), key=lambda point: point.count)


def read_point(folder):
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    summaries = {method["label"]: read_runs(folder, method["runs"]) for method in comparison["methods"]}
    probe = probe_figures(summaries, list(comparison["methods"][0]["runs"]), "linear_top1")
    figures = {PROBE: probe} if probe else {}
    figures.update((label, top1(runs)) for label, runs in summaries.items())
    return Point(int(folder.name.removesuffix("-per-class")), comparison, summaries, figures)


def tabulate(curve):
    """The whole text."""
    return "\n".join([*results(curve), "", *differences(curve), "", *settings(curve), "", *origin(curve)])


def once(values):
    """Each value where it comes first."""
    return list(dict.fromkeys(values))


def names(curve):
    """Every method that was measured with any count."""
    measured = {name for point in curve for name in point.figures}
    return [name for name in STYLES if name in measured]


def results(curve):
    """Test top-1 by method and count."""
    seeds = once(seed for point in curve for runs in point.summaries.values() for seed in runs)
    counts = " | ".join(f"{point.count} labels per class" for point in curve)
    yield f"| test top-1 (%), mean ± sd of seeds {', '.join(seeds)} | {counts} |"
    yield "|---|" + "---|" * len(curve)
    for name in names(curve):
        cells = [mean_sd(point.figures[name], 1) if name in point.figures else "" for point in curve]
        yield f"| {name} | {' | '.join(cells)} |"


def differences(curve):
    """In points of test top-1, paired by seed."""
    columns = " | ".join(f"minus {reference} (points) | paired t-test" for reference in REFERENCES)
    yield f"| labels per class | method | {columns} |"
    yield "|---|---|" + "---|---|" * len(REFERENCES)
    for point in curve:
        for name, figures in point.figures.items():
            cells = [cell for reference in REFERENCES for cell in difference(point, name, figures, reference)]
            yield f"| {point.count} | {name} | {' | '.join(cells)} |"


def difference(point, name, figures, reference):
    if name == reference or reference not in point.figures:
        return "", ""
    return paired(figures, point.figures[reference], 1)


def settings(curve):
    """What the search chose, and what else the chosen runs show."""
    yield "| labels per class | method | lr | eta | ECE | ECE, calibrated | within/between |"
    yield "|---|---|---|---|---|---|---|"
    for point in curve:
        for method in point.comparison["methods"]:
            tests = [run["test"] for run in point.summaries[method["label"]].values()]
            cells = [mean_sd([test[key] for test in tests], digits)
                     for key, digits in [("ece", 3), ("ece_calibrated", 3), ("within_between", 2)]]
            lr, eta = method["chosen"]["lr"], method["chosen"]["eta"]
            chosen = f"{lr:g} | {'' if eta is None else f'{eta:g}'}"
            yield f"| {point.count} | {method['label']} | {chosen} | {' | '.join(cells)} |"


def origin(curve):
    """Where the numbers come from."""
    for command in once(point.comparison["command"] for point in curve):
        yield f"- command: `{command}`"
    for point in curve:
        runs = chosen_runs(point)
        yield (f"- each run with {point.count} labels per class: `{point.comparison['fit']} ...`, with the settings above; "
               f"{statistics.median(run['wall_seconds'] for run in runs):.0f} s a run (median), "
               f"{statistics.median(run['images_per_second'] for run in runs):.0f} images/s")
    methods = [method for point in curve for method in point.comparison["methods"]]
    for label, flags in once((method["label"], method["flags"]) for method in methods):
        yield f"- {label}: `{flags}`"
    conditions = [tuple(point.comparison[key] for key in ("machine", "jobs", "threads")) for point in curve]
    for machine, jobs, threads in once(conditions):
        yield f"- machine: {machine}; {jobs} runs at once with {threads} threads each"
    for versions in once(json.dumps(run["versions"], sort_keys=True) for point in curve for run in chosen_runs(point)):
        yield f"- versions: {versions}"


def chosen_runs(point):
    return [run for runs in point.summaries.values() for run in runs.values()]


def draw(curve, path):
    """The curve as an SVG of 700 pixels, the same bytes for the same figures."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {"svg.hashsalt": "label-efficiency", "svg.fonttype": "none", "font.size": 10.5, "axes.spines.top": False,
             "axes.spines.right": False, "axes.axisbelow": True}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(700 / 96, 430 / 96), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        draw_lines(axes, curve)
        label_axes(axes, [point.count for point in curve])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})


def draw_lines(axes, curve):
    """A line per method with bars of one standard deviation, a little beside each other so that none hides another."""
    shown = names(curve)
    for index, name in enumerate(shown):
        points = [point for point in curve if name in point.figures]
        aside = 1.04 ** (index - (len(shown) - 1) / 2)
        axes.errorbar([point.count * aside for point in points], [statistics.mean(point.figures[name]) for point in points],
                      yerr=[statistics.stdev(point.figures[name]) for point in points], label=name, linewidth=1.5,
                      markersize=5.5, capsize=2.5, elinewidth=1.1, **STYLES[name])


def label_axes(axes, counts):
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("labels per class")
    axes.set_ylabel("test top-1 (%), mean ± sd over the seeds")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.legend(loc="lower right", frameon=False)


def has_matplotlib():
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the --output of label_efficiency.py")
    parser.add_argument("--figure", type=Path, metavar="PATH.svg", help="draw the curve there; needs matplotlib")
    options = parser.parse_args(argv)
    if options.figure and not has_matplotlib():
        print("error: --figure needs matplotlib\nhint: pip install matplotlib", file=sys.stderr)
        return 2
    curve = read_curve(options.folder)
    if not curve:
        print(f"error: no */comparison.json in {options.folder}\n"
              "hint: label_efficiency.py writes one for each count that it finishes", file=sys.stderr)
        return 2
    print(tabulate(curve))
    if options.figure:
        draw(curve, options.figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
