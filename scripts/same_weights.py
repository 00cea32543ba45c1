#!/usr/bin/env python3
"""Whether two builds of `coretune` compute the same weights, bit for bit: one small run of each kind with both.

    git worktree add /tmp/before COMMIT            # build it there once, then:
    python3 scripts/same_weights.py /tmp/before/target/debug/coretune target/debug/coretune
    python3 scripts/same_weights.py OLD NEW --only fit-adamw pretrain-simclr --keep FOLDER

Makes images of three colours and a checkpoint of a narrow ResNet-18, runs every kind with one thread, resumes with
both builds the unfinished runs among the test fixtures (`resume-...`), and compares `last.safetensors` (and
`best.safetensors`, if any): the names, shapes, types and bytes of all tensors. The metadata may differ. Prints a table,
then the first differences. Bits are only comparable on one machine.

Exit status: 0 all tensors are equal, 1 some differ or a run failed.
"""

import argparse
import json
import math
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

CLASSES = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (190, 60, 50)}
SIDE = 16
TRAINING_IMAGES, TEST_IMAGES = 12, 4

COMMON = ["--img-size", "16", "--device", "cpu", "--threads", "1", "--log-every", "1", "--seed", "3"]
FIT = ["fit", "--epochs", "3", "--batch-size", "8", "--contrast-dim", "16"]
PRETRAIN = ["pretrain", "--epochs", "3", "--batch-size", "8", "--bn-groups", "2", "--probe-epochs", "1", "--dim", "16"]
FROZEN_PARTS = ["--frozen-stages", "1", "--freeze-batch-norm"]
MOMENTUM_QUEUE = ["--method", "moco-v2", "--queue-size", "16"]

# What is run: the arguments of each kind, without paths and width.
KINDS = {
    "fit-sgd-ema": [*FIT, "--model-ema", "0.9"],
    "fit-adamw": [*FIT, "--no-probe", "--opt", "adamw", "--lr", "1e-3", "--layer-decay", "0.8", "--clip-grad", "1"],
    "fit-exact": [*FIT, "--no-probe", "--grad-accum-steps", "2", "--accumulation", "exact"],
    "fit-split": [*FIT, "--no-probe", "--grad-accum-steps", "2", "--accumulation", "split"],
    "fit-linear-probe": [*FIT, *FROZEN_PARTS, "--head-init", "linear-probe", "--lr", "1e-4"],
    "fit-soft": [*FIT, "--no-probe", "--pairs", "soft", "--focal", "2", "--detach-focal"],
    "fit-reference": [*FIT, "--no-probe", "--pairs", "reference", "--augment", "core-tuning"],
    "fit-balanced": [*FIT, "--no-probe", "--sampler", "balanced", "--classes-per-batch", "2", "--select", "val_loss"],
    "fit-scl": [*FIT, "--no-probe", "--method", "scl", "--label-smoothing", "0.1"],
    "fit-cross-entropy": [*FIT, "--no-probe", "--method", "cross-entropy", "--opt", "lars", "--sched", "step"],
    "pretrain-moco-v2": [*PRETRAIN, *MOMENTUM_QUEUE],
    "pretrain-moco-v2-adamw": [*PRETRAIN, *MOMENTUM_QUEUE, "--opt", "adamw", "--encoder-momentum", "0.9"],
    "pretrain-simclr": [*PRETRAIN, "--method", "simclr", "--blur", "0.5"],
}

# Runs that an earlier version left unfinished, with their data; WORLD stands for the folder in their config.toml.
UNFINISHED = pathlib.Path(__file__).resolve().parents[1] / "crates/coretune-cli/tests/cli/runs_of_0_1_0"
RESUMED = {f"resume-{path.parent.name}": path.parent for path in sorted(UNFINISHED.glob("*/config.toml"))}


# --- the data and the checkpoint ---------------------------------------------------------------------


def write_images(folder, training=TRAINING_IMAGES, test=TEST_IMAGES):
    """`train` and `test` images of every class, as PPM: the colour of the class under noise."""
    draw = random.Random(1)
    for split, images in (("train", training), ("test", test)):
        for name, colour in CLASSES.items():
            place = folder / split / name
            place.mkdir(parents=True, exist_ok=True)
            for index in range(images):
                pixels = bytes(value + draw.randrange(-20, 20) for _ in range(SIDE * SIDE) for value in colour)
                (place / f"{index:02}.ppm").write_bytes(b"P6 %d %d 255\n" % (SIDE, SIDE) + pixels)


def resnet18_shapes(width):
    """Name and shape of every tensor of a ResNet-18 with a 3 x 3 stem, in torchvision's names."""
    shapes = {}

    def convolution(name, norm, outputs, inputs, side):
        shapes[f"{name}.weight"] = (outputs, inputs, side, side)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = (outputs,)

    inputs = max(1, round(64 * width))
    convolution("conv1", "bn1", inputs, 3, 3)
    for stage in range(1, 5):
        outputs = max(1, round(32 * 2**stage * width))
        for block in range(2):
            place = f"layer{stage}.{block}"
            convolution(f"{place}.conv1", f"{place}.bn1", outputs, inputs, 3)
            convolution(f"{place}.conv2", f"{place}.bn2", outputs, outputs, 3)
            if stage > 1 and block == 0:
                convolution(f"{place}.downsample.0", f"{place}.downsample.1", outputs, inputs, 1)
            inputs = outputs
    return shapes


def write_checkpoint(path, width):
    """Random weights, with statistics of batch norm other than 0 and 1, as safetensors in float32."""
    draw = random.Random(2)
    header, body = {}, bytearray()
    for name, shape in resnet18_shapes(width).items():
        count = math.prod(shape)
        if len(shape) == 4:
            scale = math.sqrt(2 / math.prod(shape[1:]))
            values = [draw.gauss(0, scale) for _ in range(count)]
        elif name.endswith(("running_var", "weight")):
            values = [draw.uniform(0.5, 1.5) for _ in range(count)]
        else:
            values = [draw.uniform(-0.2, 0.2) for _ in range(count)]
        begin = len(body)
        body += struct.pack(f"<{count}f", *values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, len(body)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(body))


def make_world(folder, width, **images):
    """The images in `data` and the checkpoint in `resnet.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_images(folder / "data", **images)
    write_checkpoint(folder / "resnet.safetensors", width)


# --- the runs ----------------------------------------------------------------------------------------


def arguments_of(kind, world, output, width):
    """What `coretune` is called with to run this kind in the world of `make_world`."""
    arguments = KINDS[kind] + COMMON + ["--data-dir", str(world / "data"), "--output", str(output)]
    if arguments[0] == "fit":
        return arguments + ["--pretrained-path", str(world / "resnet.safetensors")]
    return arguments + ["--width", str(width)]


def run(binary, kind, world, output, width):
    """Whether the run came to its end."""
    if kind in RESUMED:
        arguments = prepare_resume(kind, output)
    else:
        arguments = arguments_of(kind, world, output, width)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(binary), *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{binary} {kind}: exit status {done.returncode}\n{done.stderr}", file=sys.stderr)
    return done.returncode == 0


def prepare_resume(kind, output):
    """Copies the unfinished run and its data, and gives the arguments that resume it."""
    source = RESUMED[kind]
    shutil.copytree(source, output)
    data, encoder = output.parent / "data", output.parent / "encoder.safetensors"
    shutil.copytree(source.parent / "data", data, dirs_exist_ok=True)
    shutil.copy(source.parent / "encoder.safetensors", encoder)
    config = output / "config.toml"
    config.write_text(config.read_text().replace("WORLD", str(output.parent)))
    return [source.name.split("-")[0], "--resume", "--output", str(output)]


# --- the comparison ----------------------------------------------------------------------------------


def tensors(path):
    """Name -> (type, shape, bytes) of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            found[name] = (entry["dtype"], tuple(entry["shape"]), body[begin:end])
    return found


def differences(before, after):
    """One sentence for each tensor that is not the same in both."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{name} is missing from the second"
        elif name not in before:
            yield f"{name} is new in the second"
        elif before[name][:2] != after[name][:2]:
            yield f"{name} is {before[name][0]} {before[name][1]}, then {after[name][0]} {after[name][1]}"
        elif before[name][2] != after[name][2]:
            yield f"{name} differs{distance(before[name], after[name])}"


def distance(before, after):
    """The distance of two tensors of type F32 in their norm."""
    if before[0] != "F32":
        return ""
    first, second = (struct.unpack(f"<{len(data) // 4}f", data) for _, _, data in (before, after))
    norm = math.sqrt(sum(value * value for value in first))
    off = math.sqrt(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)))
    return f" by {off:.2e}, norm {norm:.2e}"


def compare(kind, folders):
    """Rows of the table for one kind, and the sentences about what differs."""
    rows, sentences = [], []
    for file in ("last.safetensors", "best.safetensors"):
        paths = [folder / "checkpoints" / file for folder in folders]
        if not any(path.exists() for path in paths):
            continue
        if not all(path.exists() for path in paths):
            found, count = ["only one of the two wrote it"], 0
        else:
            before, after = (tensors(path) for path in paths)
            found, count = list(differences(before, after)), len(before)
        rows.append((kind, file, count, "equal" if not found else f"{len(found)} differ"))
        sentences += [f"{kind} {file}: {sentence}" for sentence in found]
    return rows, sentences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=pathlib.Path, help="one coretune")
    parser.add_argument("after", type=pathlib.Path, help="the other")
    kinds = [*KINDS, *RESUMED]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, metavar="KIND", help=", ".join(kinds))
    parser.add_argument("--width", type=float, default=0.125, help="factor on the channels of ResNet-18")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="leave data and runs in this new folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        world = options.keep or pathlib.Path(temporary)
        make_world(world, options.width)
        wrong = 0
        sentences = []
        print(f"{'run':<26}{'file':<20}{'tensors':>8}  result", flush=True)
        for kind in options.only:
            outputs = [world / side / kind for side in ("before", "after")]
            binaries = (options.before.resolve(), options.after.resolve())
            if not all([run(binary, kind, world, out, options.width) for binary, out in zip(binaries, outputs)]):
                wrong += 1
                print(f"{kind:<26}{'':<28}  a run failed", flush=True)
                continue
            rows, found = compare(kind, outputs)
            sentences += found
            for name, file, count, result in rows:
                print(f"{name:<26}{file:<20}{count:>8}  {result}", flush=True)
    for sentence in sentences[:20]:
        print(sentence)
    if len(sentences) > 20:
        print(f"and {len(sentences) - 20} more")
    print("all tensors are equal" if not wrong and not sentences else "the weights are not the same")
    sys.exit(1 if wrong or sentences else 0)


if __name__ == "__main__":
    main()
