#!/usr/bin/env python3
"""Writes the unfinished runs beside this file, with the program of commit bc7c8d7 (version 0.1.0).

    python3 crates/coretune-cli/tests/cli/runs_of_0_1_0/write.py CORETUNE_OF_BC7C8D7

One run of each kind, of the narrowest network that can be trained, stopped by SIGTERM within an epoch. A later
program has to resume them: `runs_of_0_1_0.rs`, which puts a folder of its own in the place of `WORLD` in their
`config.toml`. Written once; the runs of another version get another folder.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[4] / "scripts"))
import same_weights  # noqa: E402

COMMON = "--data-dir data --img-size 16 --device cpu --amp off --threads 1 --log-every 1 --save-steps 1".split()
NETWORK = "--model mobilenet_v2_32 --width 0.015625".split()
FIT = ["fit", *COMMON, *"--pretrained-path encoder.safetensors --epochs 4 --contrast-dim 4".split()]
PRETRAIN = ["pretrain", *COMMON, *NETWORK, *"--epochs 4 --dim 4 --bn-groups 2 --probe-epochs 1 --batch-size 4".split()]

# The arguments of each run, and the steps after which it is stopped.
RUNS = {
    "fit-sgd-ema": ([*FIT, *"--batch-size 4 --model-ema 0.9".split()], 8),
    "fit-adamw": ([*FIT, *"--batch-size 4 --no-probe --opt adamw --lr 1e-3 --select last".split()], 8),
    "fit-exact": ([*FIT, *"--batch-size 2 --grad-accum-steps 2 --no-probe --select last".split()], 8),
    "pretrain-moco-v2": ([*PRETRAIN, *"--method moco-v2 --queue-size 16".split()], 8),
    "pretrain-simclr": ([*PRETRAIN, *"--method simclr".split()], 8),
}


def steps(run):
    """The steps that the run has logged."""
    metrics = run / "metrics.jsonl"
    return metrics.read_text().count('"lr":') if metrics.exists() else 0


def stop_within(binary, world, name, arguments, least):
    """Starts the run and stops it once it has logged this many steps."""
    command = [binary, *arguments, "--output", name]
    child = subprocess.Popen(command, cwd=world, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and steps(world / name) < least:
        time.sleep(0.001)
    child.send_signal(signal.SIGTERM)
    if child.wait() != 128 + signal.SIGTERM or (world / name / "summary.json").exists():
        sys.exit(f"{name} was not stopped: it ended with status {child.returncode}")
    print(f"{name}: stopped after {steps(world / name)} steps")


def write_world(binary, world):
    """The images, and the encoder of a short pre-training."""
    same_weights.write_images(world / "data", training=8, test=2)
    for arguments in (
        [*PRETRAIN, *"--method simclr --output source".split()],
        "export source --output encoder.safetensors".split(),
    ):
        subprocess.run([binary, *arguments], cwd=world, check=True, capture_output=True)
    shutil.rmtree(world / "source")


def take(path, world):
    """Copies the file or folder to this folder, without locks and without the name of the temporary folder."""
    if path.is_file():
        shutil.copy(path, HERE)
        return
    target = HERE / path.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(path, target, ignore=shutil.ignore_patterns(".lock"))
    for name in ("config.toml", "log.txt"):
        if (target / name).exists():
            text = (target / name).read_text().replace(world, "WORLD")
            (target / name).write_text(text)
    holding = [file for file in target.rglob("*") if file.is_file() and world.encode() in file.read_bytes()]
    if holding:
        sys.exit(f"these name the temporary folder: {holding}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as temporary:
        world = pathlib.Path(temporary)
        write_world(binary, world)
        for name, (arguments, least) in RUNS.items():
            stop_within(binary, world, name, arguments, least)
        for path in world.iterdir():
            take(path, temporary)


if __name__ == "__main__":
    main()
