"""Reads the event file of a run folder with TensorBoard itself and compares it with metrics.jsonl.

    pip install tensorboard==2.21.0
    python scripts/parity/tensorboard_events.py runs/mine

Every figure of every line must be there under train/<figure> or <split>/<figure>, at its step, to float32, and nothing
else. TensorBoard checks the checksums of the file while it reads.
"""
import argparse
import json
import struct
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def logged(run):
    """{(tag, step): figure} of metrics.jsonl, rounded to float32."""
    figures = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        group = record.get("split", "train")
        for name, value in record.items():
            if name not in ("kind", "step", "split"):
                figures[f"{group}/{name}", record["step"]] = struct.unpack("f", struct.pack("f", value))[0]
    return figures


def shown(run):
    """{(tag, step): figure} as TensorBoard reads them; a size of 0 keeps every event."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    return {(tag, event.step): event.value for tag in events.Tags()["scalars"] for event in events.Scalars(tag)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    ours, theirs = logged(run), shown(run)
    different = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if not ours or different:
        raise SystemExit(f"different: {different[:5] or 'metrics.jsonl is empty'}")
    print(f"{len(ours)} figures equal, {len({tag for tag, _ in ours})} tags")


if __name__ == "__main__":
    main()
