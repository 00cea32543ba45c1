"""Compares fine-tuning methods from the SimCLR checkpoint on CIFAR-10 with 100 labels per class.

    make build
    python3 experiments/cifar10_simclr.py --jobs 2 --threads 1
    python3 experiments/tabulate.py runs/cifar10-simclr > table.md

Every method gets the same small search on seed 0, judged by the best epoch's validation top-1 (ties: the smaller
value): lr of {0.01, 0.03, 0.1} at eta 1, then eta of {0.3, 1, 3} at that lr. Methods without eta search lr alone;
`reference` is run at one setting. The chosen setting then runs on seeds 1 and 2; test figures are read only after that.

A run lies in a folder named by its settings. One that is finished (summary.json is there) is not run again, so the
script can be stopped at any time and started anew. Needs the Python standard library only.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

SEARCH_SEED = 0
SEEDS = [0, 1, 2]


@dataclasses.dataclass(frozen=True)
class Method:
    """One row of the table."""

    label: str
    flags: tuple
    has_eta: bool = True
    settings_of: str = ""  # runs at the lr chosen for this method and at eta 1, without a search of its own


METHODS = [
    Method("cross-entropy", ("--method", "cross-entropy"), has_eta=False),
    Method("LP-FT", ("--method", "cross-entropy", "--head-init", "linear-probe"), has_eta=False),
    Method("SCL", ("--method", "scl")),
    Method("Core-tuning own", ("--method", "core-tuning", "--pairs", "own")),
    Method("Core-tuning soft", ("--method", "core-tuning", "--pairs", "soft")),
    Method("Core-tuning own, LP head", ("--method", "core-tuning", "--pairs", "own", "--head-init", "linear-probe")),
    Method("Core-tuning reference", ("--method", "core-tuning", "--pairs", "reference"), settings_of="Core-tuning own"),
]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is searched."""

    lr: float
    eta: float | None

    def flags(self):
        return ["--lr", f"{self.lr:g}"] + ([] if self.eta is None else ["--eta", f"{self.eta:g}"])


class RunFailed(Exception):
    """A run ended without a summary."""


class Comparison:
    """All runs of this comparison, finished or to come; `title` tells it from others in what is said of its runs."""

    def __init__(self, options, title=""):
        self.options = options
        self.title = title
        self.common = [
            "--pretrained-path", str(options.checkpoint), "--data-dir", str(options.data_dir),
            "--per-class", str(options.per_class), "--val-per-class", str(options.val_per_class),
            "--epochs", str(options.epochs), "--batch-size", str(options.batch_size), *options.extra]
        self.total = 0
        self.done = 0
        self.ran = 0
        self.started = None
        self.lock = threading.Lock()

    def arguments(self, method, setting, seed):
        """Everything that decides the result; the probe is the same for every method and is measured once a seed."""
        probe = [] if method.label == "cross-entropy" or "linear-probe" in method.flags else ["--no-probe"]
        return [*self.common, *method.flags, *setting.flags(), "--seed", str(seed), *probe]

    def folder(self, method, setting, seed):
        """A name to read, then a hash of all arguments."""
        arguments = self.arguments(method, setting, seed)
        name = re.sub(r"[^a-z0-9]+", "-", method.label.lower()).strip("-")
        eta = "" if setting.eta is None else f"-eta{setting.eta:g}"
        digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:8]
        return self.options.output / f"{name}-lr{setting.lr:g}{eta}-seed{seed}-{digest}"

    def summary(self, method, setting, seed):
        """The summary of a finished run, else None."""
        path = self.folder(method, setting, seed) / "summary.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def run(self, method, setting, seed):
        """Runs one unless it is finished; raises RunFailed."""
        folder = self.folder(method, setting, seed)
        finished = self.summary(method, setting, seed)
        if finished is None:
            shutil.rmtree(folder, ignore_errors=True)
            started = time.monotonic()
            log = self.options.output / "logs" / f"{folder.name}.txt"
            command = [str(self.options.coretune), "fit", *self.arguments(method, setting, seed),
                       "--threads", str(self.options.threads), "--output", str(folder)]
            with log.open("w", encoding="utf-8") as text:
                text.write(f"$ {shlex.join(command)}\n")
                text.flush()
                status = subprocess.run(command, stdout=text, stderr=subprocess.STDOUT, check=False).returncode
            finished = self.summary(method, setting, seed)
            if status != 0 or finished is None:
                raise RunFailed(f"{self.title}{folder.name}: exit status {status}, see {log}")
            took = f"{time.monotonic() - started:.0f} s"
        else:
            took = "was there"
        self.tell(folder.name, finished, took)

    def tell(self, name, summary, took):
        """One line of progress with the time left; no test figure, so that nobody tunes on it."""
        with self.lock:
            self.done += 1
            self.ran += took != "was there"
            left = self.total - self.done
            pace = (time.monotonic() - self.started) / self.ran if self.ran else 0
            ending = f", about {left * pace / 60:.0f} min left" if pace and left else ""
            print(f"{self.title}[{self.done}/{self.total}] {name}   val {100 * best_val(summary):.1f} %   {took}{ending}",
                  flush=True)

    def run_all(self, runs):
        """Runs (method, setting, seed) several at a time; raises RunFailed after the others of this round are through."""
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            waiting = [pool.submit(self.run, *run) for run in runs]
            try:
                concurrent.futures.wait(waiting)
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        failures = [str(error) for error in (future.exception() for future in waiting) if error is not None]
        if failures:
            raise RunFailed("\n".join(failures))

    def best(self, method, settings):
        """The setting with the best validation top-1 on the search seed; ties go to the smaller value."""
        score = {setting: best_val(self.summary(method, setting, SEARCH_SEED)) for setting in settings}
        return max(sorted(settings, key=lambda setting: (setting.lr, setting.eta or 0)), key=score.__getitem__)


def best_val(summary):
    return summary["best"]["val_top1"]


def learning_rates(comparison, method):
    return [Setting(lr, 1.0 if method.has_eta else None) for lr in comparison.options.lr]


def etas(comparison, lr):
    return [Setting(lr, eta) for eta in sorted({1.0, *comparison.options.eta})]


def compare(comparison, methods):
    """The search in two rounds, then the other seeds; returns what was chosen and every setting that was tried."""
    searched = [method for method in methods if not method.settings_of]
    with_eta = [method for method in searched if method.has_eta]
    given = [method for method in methods if method.settings_of]
    comparison.total = (sum(len(learning_rates(comparison, method)) for method in searched) + len(with_eta) * (len(etas(comparison, 0)) - 1)
                        + len(searched) * (len(SEEDS) - 1) + len(given) * len(SEEDS))
    comparison.started = time.monotonic()

    tried = {method.label: learning_rates(comparison, method) for method in searched}
    comparison.run_all([(method, setting, SEARCH_SEED) for method in searched for setting in tried[method.label]])
    chosen = {method.label: comparison.best(method, tried[method.label]) for method in searched}

    more = {method.label: [setting for setting in etas(comparison, chosen[method.label].lr) if setting not in tried[method.label]]
            for method in with_eta}
    comparison.run_all([(method, setting, SEARCH_SEED) for method in with_eta for setting in more[method.label]])
    for method in with_eta:
        tried[method.label] += more[method.label]
        chosen[method.label] = comparison.best(method, etas(comparison, chosen[method.label].lr))

    for method in given:
        chosen[method.label] = Setting(chosen[method.settings_of].lr, 1.0)
        tried[method.label] = [chosen[method.label]]
    other_seeds = [(method, chosen[method.label], seed) for method in searched for seed in SEEDS if seed != SEARCH_SEED]
    comparison.run_all(other_seeds + [(method, chosen[method.label], seed) for method in given for seed in SEEDS])
    return chosen, tried


def record(comparison, methods, chosen, tried):
    """What tabulate.py reads: per method the chosen setting, the search, and the folder of each seed."""
    return {
        "command": shlex.join(["python3", *sys.argv]),
        "fit": shlex.join(["coretune", "fit", *comparison.common]),
        "machine": machine(),
        "jobs": comparison.options.jobs,
        "threads": comparison.options.threads,
        "methods": [{
            "label": method.label,
            "flags": shlex.join(method.flags),
            "chosen": dataclasses.asdict(chosen[method.label]),
            "search": [{
                **dataclasses.asdict(setting),
                "val_top1": best_val(comparison.summary(method, setting, SEARCH_SEED)),
            } for setting in tried[method.label]],
            "runs": {str(seed): comparison.folder(method, chosen[method.label], seed).name for seed in SEEDS},
        } for method in methods],
    }


def machine():
    """The processor in words."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        names = re.findall(r"model name\s*:\s*(.+)", cpuinfo) or [platform.machine()]
    except OSError:
        names = [platform.processor() or platform.machine()]
    return f"{names[0]}, {os.cpu_count()} cores"


def carry_out(comparisons, methods):
    """Makes one comparison after the other, each with its comparison.json; returns the exit status."""
    try:
        for comparison in comparisons:
            output = comparison.options.output
            (output / "logs").mkdir(parents=True, exist_ok=True)
            chosen, tried = compare(comparison, methods)
            text = json.dumps(record(comparison, methods, chosen, tried), indent=2)
            (output / "comparison.json").write_text(text + "\n", encoding="utf-8")
    except RunFailed as failure:
        print(f"error: not every run finished\n{failure}\nhint: start again; what is finished is kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; start again to go on, what is finished is kept", file=sys.stderr)
        return 130
    return 0


def shared_data():
    """The folder of data beside the repository."""
    return Path(os.environ.get("CORETUNE_SHARED", REPOSITORY.parent / "shared")) / "data"


def add_options(parser):
    """The options of every script that makes such comparisons."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at once (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run (%(default)s)")
    parser.add_argument("--coretune", type=Path, default=target / "release" / "coretune")
    parser.add_argument("--data-dir", type=Path, default=shared_data() / "cifar10")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, nargs="+", default=[0.01, 0.03, 0.1], help="learning rates to search")
    parser.add_argument("--eta", type=float, nargs="+", default=[0.3, 1.0, 3.0],
                        help="weights of the contrastive loss to search, 1 always among them")
    parser.add_argument("--only", action="append", metavar="LABEL", help="this method only; may be given several times")
    parser.add_argument("extra", nargs="*", help="after --: more flags for every `coretune fit`")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "runs" / "cifar10-simclr")
    parser.add_argument("--checkpoint", type=Path, default=shared_data() / "checkpoints" / "simclr_mobilenetv2s_stl10.pth")
    parser.add_argument("--per-class", type=int, default=100, help="labels per class, for training and again for validation")
    parser.add_argument("--epochs", type=int, default=25)
    add_options(parser)
    options = parser.parse_args(argv)
    options.val_per_class = options.per_class
    return options


def wanted(options, methods):
    return [method for method in methods if not options.only or method.label in options.only]


def obstacles(options, methods):
    """Why nothing can be started, in words."""
    chosen = wanted(options, methods)
    labels = {method.label for method in chosen}
    for path in (options.coretune, options.checkpoint, options.data_dir):
        if not path.exists():
            yield f"{path} is missing"
    for method in chosen:
        if method.settings_of and method.settings_of not in labels:
            yield f"{method.label} runs at the lr chosen for {method.settings_of}; add --only that"
    if not chosen:
        yield f"no such method; there are {', '.join(method.label for method in methods)}"


def refused(reasons):
    """Says each reason; whether there was one."""
    reasons = list(reasons)
    for reason in reasons:
        print(f"error: {reason}", file=sys.stderr)
    return bool(reasons)


def main(argv=None):
    options = parse(argv)
    if refused(obstacles(options, METHODS)):
        return 2
    status = carry_out([Comparison(options)], wanted(options, METHODS))
    if status == 0:
        print(f"python3 experiments/tabulate.py {shlex.quote(str(options.output))}")
    return status


if __name__ == "__main__":
    sys.exit(main())
