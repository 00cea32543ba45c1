"""How long `coretune` takes to start: `--help` beside loading libtorch_cpu alone, and `fit` until its first step.

    .peers/bin/python benches/start.py target/release/coretune

`fit` reads 1,000 JPEG of 64 pixels, made here of noise, with `--no-probe --data-check quick`. It is stopped at the first line of
metrics.jsonl. Prints a JSON line: medians over turns of the elapsed seconds and of those that the processor worked, all threads
together.
"""

import argparse
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from PIL import Image

ENCODER = Path(__file__).resolve().parent.parent / "assets" / "fashion-mnist-moco.safetensors"


def processor_seconds_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def processor_seconds(process):
    """Of a process that runs, and what was read of it: fields 14 and 15 of its line, after the name in brackets."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(command, environment=None):
    before, started = processor_seconds_of_children(), time.perf_counter()
    subprocess.run(command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started, processor_seconds_of_children() - before


def libtorch_of(program):
    """The library that the program loads."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in listed.splitlines() if "libtorch_cpu.so" in line]
    if not lines or len(lines[0]) < 3 or not lines[0][2].startswith("/"):
        raise SystemExit(f"error: {program} does not find libtorch_cpu.so\nhint: name its folder in LD_LIBRARY_PATH")
    return lines[0][2]


def image_folder(folder, images):
    draw = random.Random(0)
    for split, count in (("train", images), ("val", images // 10)):
        for number in range(count):
            path = folder / split / f"class{number % 10}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.frombytes("RGB", (64, 64), draw.randbytes(3 * 64 * 64)).save(path, quality=90)
    return folder


def until_first_step(program, images, output, threads):
    command = [program, "fit", "--pretrained-path", ENCODER, "--data-dir", images, "--output", output, "--device", "cpu", "--no-probe",
               "--data-check", "quick", "--batch-size", 32, "--img-size", 32, "--log-every", 1, "--threads", threads]
    started = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    metrics = output / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size > 0):
        if process.poll() is not None:
            raise SystemExit(process.stderr.read())
        time.sleep(0.005)
    elapsed, worked = time.perf_counter() - started, processor_seconds(process.pid)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    return elapsed, worked


def medians(turns):
    elapsed, worked = zip(*turns)
    return {"elapsed": round(statistics.median(elapsed), 3), "processor": round(statistics.median(worked), 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    program = args.program.resolve()
    library = libtorch_of(program)
    shown, loaded, first_steps = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        images = image_folder(Path(folder) / "images", args.images)
        for turn in range(args.turns):
            shown.append(timed([program, "--help"]))
            loaded.append(timed(["/bin/true"], {"LD_PRELOAD": library}))
            first_steps.append(until_first_step(program, images, Path(folder) / f"run{turn}", args.threads))
    print(json.dumps({"turns": args.turns, "help": medians(shown), "libtorch_cpu": medians(loaded),
                      "first_step": medians(first_steps)}))


if __name__ == "__main__":
    main()
