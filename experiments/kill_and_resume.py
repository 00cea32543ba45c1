"""Kills runs at random instants, resumes them, and compares with the run that was left alone.

    make build
    python3 experiments/kill_and_resume.py --kills 50
    python3 experiments/kill_and_resume.py --command pretrain --kills 10     # each with 1 and 2 loader threads
    python3 experiments/kill_and_resume.py --command segment --kills 20

Images are made on the spot (noise around a colour for each class); the checkpoint is the real SimCLR one, for
segmentation a narrow ResNet-18 that is pre-trained first. Every killed run
starts without a feature cache, so that the probe is hit too, and saves its state after each step. It is resumed with the
same command until it ends. Compared are the bytes of the checkpoints, and every metric that is not a time. Needs the
Python standard library only.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TIMES = {"seconds", "images_per_second", "data_wait_share"}
FINISHED = "after its end"  # no kill at all: another run takes its place
COLOURS = {"blue": (60, 80, 190), "green": (70, 170, 80), "grey": (120, 120, 120), "red": (190, 70, 60)}


def write_images(folder, per_class, rng):
    """`per_class` images of 32 x 32 pixels for each colour, as PPM."""
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index in range(per_class):
            pixels = bytes(max(0, min(255, value + rng.randrange(-60, 60))) for _ in range(32 * 32) for value in colour)
            (folder / name / f"{index:03}.ppm").write_bytes(b"P6 32 32 255\n" + pixels)


def write_scenes(folder, images, rng):
    """Images of 32 x 32 pixels of two colours with their masks, split by split."""
    for split, count in images.items():
        for place in (split, f"{split}annot"):
            (folder / place).mkdir(parents=True)
        for index in range(count):
            edge = rng.randrange(8, 24)
            labels = bytes(255 if at < 32 else int(at % 32 >= edge) for at in range(32 * 32))
            colours = [(60, 80, 190), (190, 70, 60)]
            pixels = bytes(max(0, min(255, value + rng.randrange(-60, 60))) for label in labels for value in colours[label % 2])
            (folder / split / f"{index:03}.ppm").write_bytes(b"P6 32 32 255\n" + pixels)
            (folder / f"{split}annot" / f"{index:03}.pgm").write_bytes(b"P5 32 32 255\n" + labels)


class Experiment:
    """The command, where it runs, and what the undisturbed run left."""

    def __init__(self, options, folder, workers):
        self.options, self.folder, self.workers = options, folder, workers
        self.whole = folder / f"whole-{workers}"
        started = time.monotonic()
        self.finish(self.whole)
        self.seconds = time.monotonic() - started

    def command(self, output):
        segments = self.options.command == "segment"
        common = ["--data-dir", str(self.folder / ("scenes" if segments else "images")), "--output", str(output), "--batch-size",
                  "4" if segments else "16", "--log-every", "1", "--save-steps", "1", "--threads", "1", "--workers", str(self.workers)]
        if segments:
            own = ["--task", "segmentation", "--pretrained-path", str(self.options.checkpoint), "--epochs", "4", "--crop", "32",
                   "--head", "fcn", "--auxiliary", "--dropout", "0.1", "--model-ema", "0.99"]
            return [str(self.options.coretune), "fit", "--resume", *own, *common]
        if self.options.command == "fit":
            own = ["--pretrained-path", str(self.options.checkpoint), "--epochs", "4", "--model-ema", "0.99"]
        else:
            own = ["--method", "moco-v2", "--model", "resnet18", "--width", "0.125", "--epochs", "6", "--queue-size", "48",
                   "--bn-groups", "4", "--probe-epochs", "2"]
        return [str(self.options.coretune), self.options.command, "--resume", *own, *common]

    def start(self, output):
        # Without features from another run the probe takes its time, and can be hit.
        environment = {**os.environ, "XDG_CACHE_HOME": str(output) + "-cache"}
        return subprocess.Popen(self.command(output), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self, output):
        process = self.start(output)
        words = process.communicate()[1].decode(errors="replace")
        if process.returncode != 0:
            sys.exit(f"{output}: exit status {process.returncode}\n{words}")

    def kill_once(self, number, rng):
        """One run killed at a random instant and resumed; where it was hit, and what differs from the whole run."""
        output = self.folder / f"killed-{self.workers}-{number}"
        process = self.start(output)
        time.sleep(rng.uniform(0, self.seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        hit = FINISHED if process.returncode == 0 else stage(output)
        self.finish(output)
        kept = ("last",) if self.options.command == "pretrain" else ("last", "best")
        different = [name for name in kept if checkpoint(output, name) != checkpoint(self.whole, name)]
        if metrics(output) != metrics(self.whole):
            different.append("metrics")
        if self.options.command == "segment" and (output / "pixels.csv").read_bytes() != (self.whole / "pixels.csv").read_bytes():
            different.append("pixels.csv")
        for path in (output, Path(str(output) + "-cache")):
            shutil.rmtree(path, ignore_errors=True)
        return hit, different


def pretrained(options, folder):
    """A narrow ResNet-18, pre-trained for an epoch on the images."""
    output = folder / "encoder"
    command = [str(options.coretune), "pretrain", "--data-dir", str(folder / "images"), "--output", str(output), "--method",
               "moco-v2", "--model", "resnet18", "--width", "0.125", "--epochs", "1", "--batch-size", "16", "--queue-size", "48",
               "--bn-groups", "4", "--threads", "1"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}\n{process.stderr}")
    return output / "checkpoints" / "last.safetensors"


def stage(output):
    """What a killed run was at."""
    if not (output / "config.toml").exists():
        return "before its configuration"
    if any(output.glob("checkpoints/*.partial")):
        return "saving"
    if not (output / "metrics.jsonl").exists():
        return "probe"
    return "training or evaluation"


def checkpoint(output, name):
    return (output / "checkpoints" / f"{name}.safetensors").read_bytes()


def metrics(output):
    lines = (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in TIMES} for line in lines]


def main(argv):
    shared = Path(os.environ.get("CORETUNE_SHARED", REPOSITORY.parent / "shared"))
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", choices=["fit", "pretrain", "segment"], default="fit")
    parser.add_argument("--kills", type=int, default=50, help="killed runs for each number of loader threads")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of loader threads")
    parser.add_argument("--seed", type=int, default=0, help="of the images and of the instants")
    parser.add_argument("--coretune", type=Path, default=target / "release" / "coretune")
    parser.add_argument("--checkpoint", type=Path, default=shared / "data/checkpoints/simclr_mobilenetv2s_stl10.pth")
    options = parser.parse_args(argv)

    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        folder, rng = Path(folder), random.Random(options.seed)
        write_images(folder / "images" / "train", 40, rng)
        write_images(folder / "images" / "test", 40, rng)
        if options.command == "segment":
            write_scenes(folder / "scenes", {"train": 24, "val": 8, "test": 8}, rng)
            options.checkpoint = pretrained(options, folder)
        for workers in options.workers:
            experiment = Experiment(options, folder, workers)
            print(f"{workers} loader threads: the whole run takes {experiment.seconds:.1f} s", flush=True)
            hits, equal = collections.Counter(), 0
            while sum(hits.values()) < options.kills:
                hit, different = experiment.kill_once(sum(hits.values()), rng)
                if hit == FINISHED:
                    continue
                hits[hit] += 1
                equal += not different
                if different:
                    print(f"  run {sum(hits.values())}, hit {hit}: {', '.join(different)} differ", flush=True)
            where = ", ".join(f"{count} {hit}" for hit, count in hits.most_common())
            print(f"  {equal} of {options.kills} equal the whole run   (hit: {where})", flush=True)
            failures += options.kills - equal
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
