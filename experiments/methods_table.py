"""A table of the runs of experiments/methods.sh: test top-1 and calibration error, mean and standard deviation over seeds."""

import json
import re
import statistics
import sys
from pathlib import Path

rows = {}
for path in sorted(Path(sys.argv[1]).glob("*/summary.json")):
    name, seed = re.fullmatch(r"(.*)-(\d+)", path.parent.name).groups()
    rows.setdefault(name, {})[int(seed)] = json.loads(path.read_text(encoding="utf-8"))

print("| run | seeds | test top-1 (%) | against the probe | ECE | s |\n|---|---|---|---|---|---|")
order = sorted(rows.items(), key=lambda row: -statistics.mean(run["test"]["top1"] for run in row[1].values()))
for name, runs in order:
    top1 = [100 * run["test"]["top1"] for run in runs.values()]
    spread = f" +- {statistics.stdev(top1):.1f}" if len(top1) > 1 else ""
    gains = [100 * (runs[seed]["test"]["top1"] - rows["linear-probe"][seed]["test"]["top1"]) for seed in runs]
    ece = statistics.mean(run["test"]["ece"] for run in runs.values())
    seconds = statistics.mean(run["wall_seconds"] for run in runs.values())
    print(f"| {name} | {', '.join(map(str, runs))} | {statistics.mean(top1):.1f}{spread} | {statistics.mean(gains):+.1f} "
          f"| {ece:.3f} | {seconds:.0f} |")
