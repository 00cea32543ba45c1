"""Core-tuning with all labels and long schedules: an encoder is trained, then fine-tuned by each method, longer each time.

    experiments/gpu/full_labels.sh 540 --coretune target/release/coretune --data cifar10 --out runs/full-labels
    experiments/gpu/full_labels.sh 300 --device cpu --widths 0.125 --epochs 1,2 --data SMALL --out runs/trial    # on a CPU

Widths of a ResNet-18 come one after the other, one process at a time. SimCLR trains each encoder to the end of its schedule
within its part of a third of the deadline: a first epoch is timed to choose the number of epochs. Then every row is fine-tuned
for 10 epochs, then for 30, then for 100; a run that would not end before the deadline is not begun. Nothing is tuned: every
row has the same learning rate, and the best epoch is chosen on 500 images per class that do not train.

results.jsonl has a line for each run that finished, results.md the table. Given again, the command resumes, with the encoders
of --out if they are there. Encoders are kept in pieces under 16 MiB, so that they travel.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROWS = {
    "cross-entropy": ["--method", "cross-entropy"],
    "core-tuning": ["--method", "core-tuning"],
    "core-tuning, repaired": ["--method", "core-tuning", "--mixed-weight", "0.3", "--projection", "checkpoint"],
    "lp-ft": ["--method", "cross-entropy", "--head-init", "linear-probe"],
    "scl": ["--method", "scl"],
}
PIECE = 15 << 20


class Deadline:
    """The time that is left."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deadline", type=float, metavar="DEADLINE", help="seconds")
    parser.add_argument("--coretune", type=Path, default=Path("target/release/coretune"), metavar="PROGRAM")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, or any folder with training and test images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and results")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--widths", default="0.25,1", help="widths of the encoders [default: %(default)s]")
    parser.add_argument("--epochs", default="10,30,100", help="epochs of fine-tuning [default: %(default)s]")
    parser.add_argument("--img-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=256, help="of fine-tuning; pre-training takes twice as many")
    parser.add_argument("--val-per-class", type=int, default=500)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def coretune(options, command, *flags):
    """Runs a command of coretune and shows its last words if it fails."""
    line = [str(options.coretune), command, *map(str, flags)]
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"failed ({done.returncode}): {' '.join(line)}\n{done.stderr[-1000:]}", file=sys.stderr)
    return done.returncode == 0


def seconds_per_epoch(folder):
    """Of a finished run: its time, with its evaluations, for each epoch."""
    summary = json.loads((folder / "summary.json").read_text())
    return summary["wall_seconds"] / summary["epochs"]


def encoder(options, width, seconds):
    """The file of an encoder of this width: from --out, or trained within so many seconds; None if it is not finished."""
    pieces = sorted(options.out.glob(f"encoder-{width}.pth.tar.*"))
    file = options.out / f"encoder-{width}.pth.tar"
    if pieces and not file.exists():
        file.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    if not file.exists() and not (train_encoder(options, width, seconds) and export(options, width, file)):
        return None
    return file


def pretrain(options, width, epochs, folder):
    flags = ["--data-dir", options.data, "--method", "simclr", "--model", "resnet18", "--stem", "small", "--width", width,
             "--img-size", options.img_size, "--batch-size", 2 * options.batch_size, "--lr", 0.12, "--seed", options.seed,
             "--epochs", epochs, "--probe-epochs", "off", "--device", options.device, "--output", folder]
    return (folder / "summary.json").exists() or coretune(options, "pretrain", "--resume", *flags)


def train_encoder(options, width, seconds):
    """Times an epoch, then trains for as many as the seconds allow. A run that was begun keeps its number of epochs."""
    timed, folder = options.out / f"epoch-{width}", options.out / f"encoder-{width}"
    if not pretrain(options, width, 1, timed):
        return False
    chosen = options.out / f"encoder-{width}.epochs"
    if not chosen.exists():
        chosen.write_text(str(max(1, int(seconds / seconds_per_epoch(timed)) - 1)))
    return pretrain(options, width, int(chosen.read_text()), folder)


def export(options, width, file):
    if not coretune(options, "export", options.out / f"encoder-{width}", "--output", file):
        return False
    content = file.read_bytes()
    for number, start in enumerate(range(0, len(content), PIECE)):
        file.with_name(f"{file.name}.{number:02}").write_bytes(content[start : start + PIECE])
    return True


def fine_tune(options, deadline, encoder, row, epochs, speeds):
    """A run of a row, and its line of the results; None if it would not end in time or failed."""
    width, file = encoder
    name = f"width {width}, {row}, {epochs} epochs"
    if speeds and max(speeds.values()) * epochs > deadline.left():
        print(f"{name}: left out, it would take {max(speeds.values()) * epochs:.0f} s of {deadline.left():.0f}")
        return None
    folder = options.out / name.replace(", ", "-").replace(" ", "-")
    flags = ["--pretrained-path", file, "--data-dir", options.data, "--val-per-class", options.val_per_class,
             "--img-size", options.img_size, "--batch-size", options.batch_size, "--lr", options.lr, "--seed", options.seed,
             "--epochs", epochs, "--device", options.device, "--output", folder]
    if not coretune(options, "fit", "--resume", *flags, *ROWS[row]):
        return None
    summary = json.loads((folder / "summary.json").read_text())
    speeds[row] = seconds_per_epoch(folder)
    line = {"width": width, "row": row, "epochs": epochs, "seed": options.seed, "lr": options.lr,
            "probe": (summary.get("probe") or {}).get("top1"), "test": summary.get("test"),
            "images_per_second": summary["images_per_second"], "seconds": summary["wall_seconds"]}
    print(f"{name}: {line['test']}")
    return line


def table(lines):
    """Test top-1 by width and row, a column for each number of epochs."""
    epochs = sorted({line["epochs"] for line in lines})
    cells = {(line["width"], line["row"], line["epochs"]): 100 * line["test"]["top1"] for line in lines}
    rows = dict.fromkeys((line["width"], line["row"]) for line in lines)
    head = ["width", "row", *(f"{count} epochs" for count in epochs)]
    body = [[*row, *(f"{cells[*row, count]:.1f}" if (*row, count) in cells else "" for count in epochs)] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *body]) + "\n"


def main():
    options = arguments()
    deadline = Deadline(options.deadline)
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    finished = {(line["width"], line["row"], line["epochs"]) for line in lines}
    widths = options.widths.split(",")
    # A quarter of the time of the encoders for each width but the last, which is the largest.
    shares = [0.25] * (len(widths) - 1)
    shares.append(1 - sum(shares))
    files = [encoder(options, width, share * deadline.seconds / 3) for width, share in zip(widths, shares)]
    encoders = [(width, file) for width, file in zip(widths, files) if file]
    for epochs in map(int, options.epochs.split(",")):
        for width, file in encoders:
            speeds = {line["row"]: line["seconds"] / line["epochs"] for line in lines if line["width"] == width}
            for row in ROWS:
                if (width, row, epochs) in finished:
                    continue
                if line := fine_tune(options, deadline, (width, file), row, epochs, speeds):
                    lines.append(line)
                    with results.open("a") as out:
                        out.write(json.dumps(line) + "\n")
                    (options.out / "results.md").write_text(table(lines))
    return 0 if lines and all(files) else 1


if __name__ == "__main__":
    sys.exit(main())
