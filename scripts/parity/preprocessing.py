"""From image files to logits with Pillow: by what `coretune export` prints, against `coretune evaluate --logits`.

    make build peers
    cargo build --release --locked -p coretune --example decode_images
    .peers/bin/python scripts/parity/preprocessing.py --coretune target/release/coretune

A ResNet-18 of torchvision with random weights is fine-tuned for an epoch on small images in every resize mode. Its test
images are 3:1, 1:3 and square, PNG (also of 16 bits) and JPEG, one of them turned by its EXIF orientation. The Python function
`preprocess` that `coretune export` prints prepares each file; torchvision computes the logits of the safetensors file,
onnxruntime those of the ONNX file. Printed is the largest difference from the logits of `coretune evaluate`, relative to
the largest logit: of PNG files, of JPEG files that coretune has decoded (to PNG), and of JPEG files that Pillow decodes.
Fails if one of the first two is above 1e-3. The third says what the rounding of the two JPEG decoders does to a network;
`scripts/parity/jpeg_decoder.py` says how many grey levels it is.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torchvision
from jpeg_decoder import add_program, decoded
from PIL import Image
from safetensors.torch import load_file, save_file

MODES = [("crop", []), ("squash", []), ("letterbox", []), ("letterbox", ["--crop-pct", "0.8", "--interpolation", "bicubic"]),
         ("crop", ["--bit-depth-range", "auto"])]
RANGE = 500, 10700  # of grey images of 16 bits
SHAPES = {"wide": (300, 100), "tall": (100, 300), "square": (128, 128), "odd": (211, 97)}
CLASSES = ["dark", "light"]
SIZE = 64
TOLERANCE = 1e-3


def picture(shape, light, generator):
    """Smooth coloured shapes with some texture."""
    width, height = shape
    coarse = generator.uniform(60, 180, (height // 16 + 2, width // 16 + 2, 3)) + (40 if light else -40)
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize(shape, Image.Resampling.BICUBIC)
    noise = generator.normal(0, 6, (height, width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def write_images(folder, generator):
    for name in CLASSES:
        for split, formats in [("train", ["png"]), ("val", ["png"]), ("test", ["png", "jpg"])]:
            (folder / split / name).mkdir(parents=True)
            for shape, size in SHAPES.items():
                for ending in formats:
                    file = folder / split / name / f"{shape}.{ending}"
                    picture(size, name == "light", generator).save(file, **({"quality": 95} if ending == "jpg" else {}))
            grey = np.asarray(picture(SHAPES["odd"], name == "light", generator).convert("L"), dtype=np.uint16)
            low, high = RANGE
            Image.fromarray(low + grey * ((high - low) // 255)).save(folder / split / name / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(SHAPES["wide"], True, generator).save(folder / "test/light/turned.jpg", quality=95, exif=exif)


def run(*command):
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if finished.returncode != 0:
        raise SystemExit(finished.stderr)
    return finished.stdout


def printed_function(report):
    """`preprocess` as the export prints it."""
    names = {}
    exec(json.loads(report)["preprocess"], names)
    return names["preprocess"]


def logits_of(table):
    with open(table, newline="") as file:
        return {row["image"]: [float(row[name]) for name in CLASSES] for row in csv.DictReader(file)}


@torch.inference_mode()
def differences(programs, folder, images, mode, more):
    """{reader: [largest difference relative to the largest logit of PNG, of JPEG decoded by coretune, by Pillow]}"""
    coretune, decode_images = programs
    model = run_folder = folder / f"{mode}{len(more)}"
    run(coretune, "fit", "--pretrained-path", folder / "start.safetensors", "--data-dir", images, "--output", run_folder,
        "--resize-mode", mode, *more, "--img-size", SIZE, "--batch-size", 8, "--epochs", 1, "--no-probe", "--amp", "off",
        "--method", "cross-entropy", "--device", "cpu", "--lr", "0.001")
    table = folder / f"{run_folder.name}.csv"
    run(coretune, "evaluate", run_folder, "--logits", table, "--amp", "off", "--device", "cpu")
    expected = logits_of(table)
    largest = max(abs(value) for row in expected.values() for value in row)

    def export(ending):
        return printed_function(run(coretune, "export", run_folder, "--output", f"{model}.{ending}", "--json"))

    network = torchvision.models.resnet18(num_classes=len(CLASSES)).eval()
    of_safetensors, of_onnx = export("safetensors"), export("onnx")
    network.load_state_dict(load_file(f"{model}.safetensors"))
    session = onnxruntime.InferenceSession(f"{model}.onnx", providers=["CPUExecutionProvider"])
    readers = {
        "torchvision": lambda path: network(torch.from_numpy(of_safetensors(path)))[0].numpy(),
        "onnxruntime": lambda path: session.run(["logits"], {"image": of_onnx(path)})[0][0],
    }
    of_kind = {kind: [path for path in expected if path.endswith(kind)] for kind in ["png", "jpg"]}
    kinds = [
        zip(of_kind["png"], of_kind["png"], strict=True),
        zip(of_kind["jpg"], decoded(decode_images, of_kind["jpg"], folder / f"{run_folder.name}-decoded"), strict=True),
        zip(of_kind["jpg"], of_kind["jpg"], strict=True),
    ]
    kinds = [list(pairs) for pairs in kinds]
    return {
        reader: [max(np.abs(compute(file) - expected[path]).max() / largest for path, file in pairs) for pairs in kinds]
        for reader, compute in readers.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coretune", default="target/release/coretune", type=Path)
    add_program(parser)
    parser.add_argument("--seed", default=0, type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(arguments.seed)
    worst = 0.0
    print(f"torch {torch.__version__}, Pillow {Image.__version__}, onnxruntime {onnxruntime.__version__}")
    kinds = "PNG | JPEG decoded by coretune | by Pillow"
    print(f"| mode | settings | torchvision: {kinds} | onnxruntime: {kinds} |\n|{'---|' * 8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images"
        write_images(images, np.random.default_rng(arguments.seed))
        save_file(torchvision.models.resnet18(num_classes=10).state_dict(), folder / "start.safetensors")
        for mode, more in MODES:
            found = differences((arguments.coretune, arguments.decode_images), folder, images, mode, more)
            cells = [f"{value:.1e}" for values in found.values() for value in values]
            print(f"| {mode} | {' '.join(more)} | {' | '.join(cells)} |", flush=True)
            worst = max(worst, *(value for values in found.values() for value in values[:2]))
    if not worst <= TOLERANCE:
        raise SystemExit(f"differs by {worst:.1e}, more than {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
