"""Alternates our loader with torchvision and Pillow on one core, in one run, and prints the ratio of medians.

    .peers/bin/python benches/peers/loader.py ../shared/data/imagenet20-160-subset

Both read JPEG files, crop at random (RandomResizedCrop, bilinear, antialiased), flip, and stack batches of 64 images of 128
x 128 pixels as uint8; no normalisation on either side. Ours uses one thread, torchvision the calling one (no worker process,
so that nothing is copied between processes).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import PIL
import torch
import torchvision
from torchvision import transforms

ROOT = Path(__file__).resolve().parents[2]
RUST = ["cargo", "bench", "--quiet", "-p", "coretune", "--bench", "loader", "--"]


def torchvision_pass(folder):
    """Images a second over one pass."""
    transform = transforms.Compose(
        [transforms.RandomResizedCrop(128), transforms.RandomHorizontalFlip(), transforms.PILToTensor()])
    dataset = torchvision.datasets.ImageFolder(Path(folder) / "train", transform)
    loader = torch.utils.data.DataLoader(dataset, batch_size=64, shuffle=True, drop_last=True, num_workers=0)
    started, images = time.perf_counter(), 0
    for batch, _ in loader:
        images += len(batch)
    return images / (time.perf_counter() - started)


def our_pass(command, folder):
    output = subprocess.run([*command, folder], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])["images_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rust", help="a built bench binary, in place of `cargo bench`")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rust = [args.rust] if args.rust else RUST
    torchvision_pass(args.folder)  # the first pass brings the files into the system's cache
    sides = {"coretune": [], "torchvision": []}
    for _ in range(args.rounds):
        sides["coretune"].append(our_pass(rust, args.folder))
        sides["torchvision"].append(torchvision_pass(args.folder))
        print(f"coretune {sides['coretune'][-1]:.0f}, torchvision {sides['torchvision'][-1]:.0f} images/s", file=sys.stderr)
    ours, theirs = (statistics.median(side) for side in sides.values())
    print(json.dumps({"coretune_images_per_second": round(ours), "torchvision_images_per_second": round(theirs),
                      "ratio": round(ours / theirs, 2), "rounds": args.rounds, "pillow": PIL.__version__,
                      "torchvision": torchvision.__version__}))


if __name__ == "__main__":
    main()
