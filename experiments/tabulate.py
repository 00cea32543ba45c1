"""Turns a finished comparison into markdown for docs/results/cifar10-100-labels.md: python3 experiments/tabulate.py runs/cifar10-simclr

Mean and standard deviation over seeds; within/between (E3) of the test features; the paired difference to the first
method (same seed: same labels, same order of the data, same initial weights of the heads) with a paired t-test, for top-1
and, in a table of their own, for within/between and the calibration error. No p is corrected for the number of methods.
"""

import json
import math
import re
import statistics
import sys
from pathlib import Path


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print(tabulate(Path(sys.argv[1])))
    return 0


def tabulate(folder):
    """The whole text."""
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    summaries = {method["label"]: read_runs(folder, method["runs"]) for method in comparison["methods"]}
    lines = [*results(comparison["methods"], summaries), "", *other_figures(comparison["methods"], summaries), "",
             *search(comparison["methods"]), "", *test_of_the_search(folder, comparison["methods"]), "",
             *origin(comparison, summaries)]
    return "\n".join(lines)


def read_runs(folder, runs):
    """Summaries by seed."""
    return {seed: json.loads((folder / name / "summary.json").read_text(encoding="utf-8")) for seed, name in runs.items()}


def results(methods, summaries):
    """The main table; the linear probe and kNN come from the runs that measured them."""
    baseline = methods[0]["label"]
    seeds = list(summaries[baseline])
    yield (f"| method | lr | eta | test top-1, seeds {', '.join(seeds)} (%) | mean ± sd | within/between "
           f"| minus {baseline} (points) | paired t-test | top-5 (%) | ECE, then calibrated |")
    yield "|---|---|---|---|---|---|---|---|---|---|"
    reference = top1(summaries[baseline])
    for name, key in [("kNN, frozen", "knn_top1"), ("linear probe, frozen", "linear_top1")]:
        probe = probe_figures(summaries, seeds, key)
        if probe:
            yield row(name, "", "", probe, "", reference, "", "")
    for method in methods:
        runs = summaries[method["label"]].values()
        test = [run["test"] for run in runs]
        eta = method["chosen"]["eta"]
        yield row(method["label"], f"{method['chosen']['lr']:g}", "" if eta is None else f"{eta:g}",
                  top1(summaries[method["label"]]), mean_sd([t["within_between"] for t in test], 2),
                  None if method["label"] == baseline else reference,
                  f"{100 * statistics.mean(t['top5'] for t in test):.1f}",
                  f"{statistics.mean(t['ece'] for t in test):.3f}, "
                  f"{statistics.mean(t['ece_calibrated'] for t in test):.3f}")


def other_figures(methods, summaries):
    """Within/between and the calibration error before scaling: each seed, and the paired difference to the first method."""
    baseline = methods[0]["label"]
    columns = [("within_between", 2), ("ece", 3)]
    yield f"| method | within/between | minus {baseline} | paired t-test | ECE | minus {baseline} | paired t-test |"
    yield "|---|---|---|---|---|---|---|"
    for method in methods:
        cells = []
        for key, digits in columns:
            figures, reference = ([run["test"][key] for run in summaries[label].values()] for label in (method["label"], baseline))
            compared = ["", ""] if method is methods[0] else paired(figures, reference, digits)
            cells += [", ".join(f"{value:.{digits}f}" for value in figures), *compared]
        yield f"| {method['label']} | {' | '.join(cells)} |"


def row(name, lr, eta, figures, geometry, reference, top5, calibration):
    """One method; `figures` and `reference` are test top-1 in per cent, by seed in the same order."""
    difference, test = ("", "") if reference is None else paired(figures, reference, 1)
    each = ", ".join(f"{value:.1f}" for value in figures)
    return (f"| {name} | {lr} | {eta} | {each} | {mean_sd(figures, 1)} | {geometry} | {difference} | {test} "
            f"| {top5} | {calibration} |")


def top1(runs):
    return [100 * run["test"]["top1"] for run in runs.values()]


def probe_figures(summaries, seeds, key):
    """A frozen figure by seed, from whichever run measured it; empty when a seed has none."""
    found = []
    for seed in seeds:
        measured = [runs[seed]["probe"][key] for runs in summaries.values() if (runs[seed].get("probe") or {}).get(key)]
        if not measured:
            return []
        found.append(100 * measured[0])
    return found


def paired(figures, reference, digits):
    """Mean difference with its spread, and the test; both by seed in the same order."""
    differences = [ours - theirs for ours, theirs in zip(figures, reference)]
    return mean_sd(differences, digits, sign="+"), paired_test(differences)


def mean_sd(values, digits, sign=""):
    mean = f"{statistics.mean(values):{sign}.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def paired_test(differences):
    """Two-sided p of the paired t-test, in words."""
    if len(differences) < 2:
        return ""
    spread = statistics.stdev(differences)
    if spread == 0:
        return "no spread"
    t = statistics.mean(differences) / (spread / math.sqrt(len(differences)))
    return f"t = {t:.2f}, p {in_words(two_sided_p(t, len(differences) - 1))}"


def in_words(p):
    """Two digits, three below 0.01; never 0."""
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.2f}" if p >= 0.01 else f"= {p:.3f}"


def two_sided_p(t, degrees):
    """P(|T| >= |t|) of Student's t. With T = sqrt(degrees) tan(angle) its density is cos(angle)^(degrees - 1)."""
    def area(start, steps=20_000):
        width = (math.pi / 2 - start) / steps
        return width * sum(math.cos(start + (i + 0.5) * width) ** (degrees - 1) for i in range(steps))

    return area(math.atan(abs(t) / math.sqrt(degrees))) / area(0.0)


def search(methods):
    """What the search saw: best validation top-1 on seed 0."""
    yield "| method | flags | search on seed 0: lr, eta -> best validation top-1 (%) |"
    yield "|---|---|---|"
    for method in methods:
        tried = ";  ".join(describe(setting) for setting in method["search"])
        yield f"| {method['label']} | `{method['flags']}` | {tried} |"


def describe(setting):
    eta = "" if setting["eta"] is None else f", {setting['eta']:g}"
    return f"{setting['lr']:g}{eta} -> {100 * setting['val_top1']:.1f}"


def test_of_the_search(folder, methods):
    """What every setting of the search gives on the test images, which chose nothing: one seed, so without a test."""
    yield "| method | lr | eta | validation top-1, seed 0 (%) | test top-1 (%) | within/between | ECE |"
    yield "|---|---|---|---|---|---|---|"
    for method in methods:
        for setting in method["search"]:
            found = list(folder.glob(f"{folder_name(method['label'], setting)}-seed0-*/summary.json"))
            if len(found) != 1:
                continue
            test = json.loads(found[0].read_text(encoding="utf-8"))["test"]
            eta = "" if setting["eta"] is None else f"{setting['eta']:g}"
            yield (f"| {method['label']} | {setting['lr']:g} | {eta} | {100 * setting['val_top1']:.1f} "
                   f"| {100 * test['top1']:.1f} | {test['within_between']:.2f} | {test['ece']:.3f} |")


def folder_name(label, setting):
    """How cifar10_simclr.py names a run, up to its seed."""
    eta = "" if setting["eta"] is None else f"-eta{setting['eta']:g}"
    return f"{re.sub(r'[^a-z0-9]+', '-', label.lower()).strip('-')}-lr{setting['lr']:g}{eta}"


def origin(comparison, summaries):
    """Where the numbers come from."""
    runs = [run for method in summaries.values() for run in method.values()]
    wall = [run["wall_seconds"] for run in runs]
    yield f"- command: `{comparison['command']}`"
    yield f"- each run: `{comparison['fit']} ...`, with the flags and settings above"
    yield (f"- machine: {comparison['machine']}; {comparison['jobs']} runs at once with {comparison['threads']} "
           f"threads each; {statistics.median(wall):.0f} s a run (median), "
           f"{statistics.median(run['images_per_second'] for run in runs):.0f} images/s")
    yield f"- versions: {json.dumps(runs[0]['versions'], sort_keys=True)}"


if __name__ == "__main__":
    sys.exit(main())
