#!/usr/bin/env python3
"""Kills a run again and again, resumes it each time, and checks that it ends as the run that was left alone.

    python3 scripts/kill_and_resume.py [--times 20] [--seed 0] FOLDER PROGRAM fit --data-dir ... (or pretrain)

FOLDER is new; the two runs go to FOLDER/whole and FOLDER/killed. The command must not contain --output or --resume; give it
--save-steps 1, or most of what is killed is lost. Each kill is a SIGKILL after a time drawn uniformly from 0 to the time that
the whole run took, divided by the number of kills, counted from the start of the process.
"""
import argparse
import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path


def digests(run: Path) -> dict[str, str]:
    files = sorted((run / "checkpoints").glob("*.safetensors"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("folder", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    draw = random.Random(arguments.seed)

    whole, killed = arguments.folder / "whole", arguments.folder / "killed"
    started = time.monotonic()
    subprocess.run([*arguments.command, "--output", whole], check=True, stderr=subprocess.DEVNULL)
    took = time.monotonic() - started
    kills = 0
    while kills < arguments.times:
        process = subprocess.Popen([*arguments.command, "--output", killed, "--resume"], stderr=subprocess.DEVNULL)
        try:
            # Time enough to load, so that there is progress between kills.
            status = process.wait(timeout=draw.uniform(0, 2 * took / arguments.times) + 0.1 * took)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            continue
        if status != 0:
            sys.exit(f"after {kills} kills the run ended with status {status}")
        break
    if not (killed / "summary.json").exists():
        subprocess.run([*arguments.command, "--output", killed, "--resume"], check=True, stderr=subprocess.DEVNULL)
    print(f"{kills} kills")
    expected, found = digests(whole), digests(killed)
    if not expected or expected != found:
        sys.exit(f"the runs differ: {expected} and {found}")
    print(f"the same bytes: {', '.join(expected)}")


if __name__ == "__main__":
    main()
