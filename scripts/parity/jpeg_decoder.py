"""By how many grey levels coretune's JPEG decoder differs from libjpeg-turbo, which Pillow uses.

    make setup peers
    cargo build --release --locked -p coretune --example decode_images
    .peers/bin/python scripts/parity/jpeg_decoder.py FOLDER...

Each FOLDER is searched for JPEG files; without one, only files are compared that this script writes, in every subsampling
and at several qualities. `--images` limits the number of files of a folder. A row of the table: the largest difference of a
sample (one colour of one pixel), the mean, and the fraction of samples that differ by more than 0, 1 and 2. The last row and
the last column are apart: libjpeg repeats the last sample of a subsampled colour there, coretune's decoder interpolates
towards the padding of the block. Fails if another sample differs by more than 5, which rounding does not explain: a grey level
each in the inverse transform and in the upsampling of a colour, of which blue counts 1.77 times, and one of the brightness.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, features

LIMIT = 5
ENDINGS = {".jpg", ".jpeg"}


def written(folder, generator):
    """{kind: files} of noise and shapes, with odd sides."""
    kinds = {}
    for subsampling in ["4:4:4", "4:2:2", "4:2:0"]:
        for quality in [50, 95]:
            for progressive in [False, True]:
                kind = f"written, {subsampling}, quality {quality}{', progressive' if progressive else ''}"
                files = kinds.setdefault(kind, [])
                for number in range(8):
                    width, height = generator.integers(17, 300, 2)
                    coarse = generator.uniform(0, 256, (height // 9 + 2, width // 9 + 2, 3)).astype(np.uint8)
                    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
                    noise = generator.normal(0, 8, (height, width, 3))
                    image = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
                    files.append(folder / f"{len(kinds)}-{number}.jpg")
                    image.save(files[-1], quality=quality, subsampling=subsampling, progressive=progressive)
    return kinds


def decoded(decode_images, files, folder):
    """PNG files in this folder, as coretune decodes these."""
    subprocess.run([str(part) for part in [decode_images, folder, *files]], check=True)
    return [folder / f"{number}.png" for number in range(len(files))]


def differences(decode_images, files):
    """How many samples differ by 0, 1, 2, ... grey levels; the largest difference in the last row or column."""
    counts, at_edge = np.zeros(256, dtype=np.int64), 0
    with tempfile.TemporaryDirectory() as name:
        for file, ours in zip(files, decoded(decode_images, files, Path(name)), strict=True):
            pixels = [np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")) for path in [file, ours]]
            difference = np.abs(np.subtract(*pixels, dtype=np.int16))
            counts += np.bincount(difference[:-1, :-1].ravel(), minlength=256)
            at_edge = max(at_edge, difference[-1].max(), difference[:, -1].max())
    return counts, at_edge


def add_program(parser):
    """The argument that names the program which decodes."""
    parser.add_argument("--decode-images", default="target/release/examples/decode_images", type=Path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    add_program(parser)
    parser.add_argument("--images", default=500, type=int, help="files of each folder [default: 500]")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    print(f"Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}")
    print(f"| files | images | largest | mean | > 0 | > 1 | > 2 | largest at the edge |\n|{'---|' * 8}")
    with tempfile.TemporaryDirectory() as name:
        kinds = written(Path(name), generator)
        for folder in arguments.folders:
            files = sorted(file for file in folder.resolve().rglob("*") if file.suffix.lower() in ENDINGS)
            chosen = generator.permutation(len(files))[: arguments.images]
            kinds[folder.resolve().name] = [files[index] for index in sorted(chosen)]
        worst = 0
        for kind, files in kinds.items():
            counts, at_edge = differences(arguments.decode_images, files)
            fractions, levels = counts / counts.sum(), np.arange(256)
            largest = int(levels[counts > 0].max())
            above = " | ".join(f"{100 * fractions[levels > level].sum():.2f} %" for level in range(3))
            print(f"| {kind} | {len(files)} | {largest} | {(fractions * levels).sum():.3f} | {above} | {at_edge} |", flush=True)
            worst = max(worst, largest)
    if worst > LIMIT:
        raise SystemExit(f"a sample differs by {worst} grey levels, more than {LIMIT}")


if __name__ == "__main__":
    main()
