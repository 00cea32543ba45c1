"""Frozen features of the real SimCLR checkpoint: those of `coretune probe` beside those that PyTorch computes by itself.

    make build peers
    OMP_NUM_THREADS=1 .peers/bin/python scripts/parity/real_checkpoint.py --coretune target/release/coretune

The probe leaves its features in a cache, here a temporary one. PyTorch loads the same file (torch.load with
weights_only), decodes the same images (Pillow), and takes the network from benches/peers/step.py. Printed:
- the largest difference of a feature, relative to the largest, over the test images and over those of the first
  training images that the probe chose; fails above 1e-4;
- kNN accuracy from the cached features: E7 (20 neighbours, votes of exp(cosine / 0.07)) and, of equal votes, 20 and 200
  neighbours; on all test images and on 1,000 of them, with the standard error of a share.

With --initial-weights also: kNN of the untrained network, with its convolutions as coretune draws them (normal, fan out)
and as torch does by default. Both are measured on test images alone, 6,000 that vote and 1,000 others.
"""

import argparse
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "benches/peers"))
import step  # noqa: E402

WIDTH = 0.5
CLASSES, TRAINING_IMAGES, TEST_IMAGES = 10, 6000, 10_000
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]
TOLERANCE = 1e-4
VOTES = [("20, weighted (E7)", 20, 0.07), ("20, equal", 20, None), ("200, equal", 200, None)]
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def probed(coretune, checkpoint, images):
    """What `coretune probe` says, and the files that it leaves in an empty cache."""
    command = [coretune, "probe", checkpoint, "--data-dir", images, "--per-class", "600", "--val-per-class", "100", "--json"]
    with tempfile.TemporaryDirectory() as cache:
        answer = subprocess.run(command, env={**os.environ, "XDG_CACHE_HOME": cache}, check=True, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
        files = [load_file(path) for path in sorted(Path(cache).glob("coretune/features/*.safetensors"))]
    return json.loads(answer.stdout), files


def images_of(parquet, count):
    """The first images of a parquet file that keeps PNG files uncompressed, `[n, 3, 32, 32]` in 0..255, in row order.

    A value follows its length in four bytes (parquet's plain encoding), which leaves out the copies of the smallest and the
    largest value that the pages' statistics hold.
    """
    content = parquet.read_bytes()
    rows = []
    for found in re.finditer(re.escape(PNG_START), content):
        start = found.start()
        image = content[start:start + int.from_bytes(content[start - 4:start], "little")]
        if image.endswith(PNG_END) and len(rows) < count:
            rows.append(np.asarray(Image.open(io.BytesIO(image)).convert("RGB")))
    if len(rows) != count:
        raise SystemExit(f"{parquet}: {len(rows)} PNG files, expected {count}")
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)


def pretrained(checkpoint):
    """The encoder of the file, every tensor of it; around it lie a projection head, a classifier and a profiler's counters."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    encoder = {key: tensor for key, tensor in state.items()
               if not key.startswith(("g.", "linear.")) and not key.endswith(("total_ops", "total_params"))}
    model = step.MobileNetV2(WIDTH)
    model.load_state_dict(encoder, strict=True)
    return model.eval()


def features_of(model, images, batch=250):
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return torch.cat([model((part.float() / 255 - mean) / std) for part in images.split(batch)])


def relative_difference(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


def found_among(wanted, rows):
    """Of each row of `wanted` that lies among `rows`: (its index, the index of its like)."""
    cosine, nearest = (F.normalize(wanted) @ F.normalize(rows).T).max(1)
    same = ((wanted - rows[nearest]).abs().amax(1) < 1e-2 * wanted.abs().amax(1)) & (cosine > 0.999)
    return same.nonzero()[:, 0], nearest[same]


def knn_correct(training, training_labels, test, test_labels, neighbours, temperature):
    """Which test images are given their class by the training images nearest by cosine; the lower class wins a tie."""
    training = F.normalize(training)
    correct = []
    for rows, labels in zip(F.normalize(test).split(1000), test_labels.split(1000)):
        cosine, nearest = (rows @ training.T).topk(neighbours, 1)
        weights = torch.ones_like(cosine) if temperature is None else (cosine / temperature).exp()
        votes = torch.zeros(len(rows), CLASSES).scatter_add_(1, training_labels[nearest], weights)
        correct.append(votes.argmax(1) == labels)
    return torch.cat(correct)


def share(correct):
    p = correct.double().mean().item()
    return f"{100 * p:.2f} ± {100 * math.sqrt(p * (1 - p) / len(correct)):.2f}"


def untrained(fan_out, seed):
    """The network before training, batch norm at its identity; torch's own convolutions, or normal ones of fan out."""
    torch.manual_seed(seed)
    model = step.MobileNetV2(WIDTH)
    for module in model.modules() if fan_out else []:
        if isinstance(module, nn.Conv2d):
            # fan out without regard to groups, as torchvision and coretune count it
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model.eval()


def compare_initial_weights(images, labels, seeds):
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    voters, queries = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:TRAINING_IMAGES + 1000]
    print(f"| initial weights | seed | {' | '.join(f'kNN {name}' for name, _, _ in VOTES)} |\n|---|---|{'---|' * len(VOTES)}")
    for name, fan_out in [("normal, fan out", True), ("torch's default", False)]:
        for seed in seeds:
            model = untrained(fan_out, seed)
            known, asked = features_of(model, images[voters]), features_of(model, images[queries])
            cells = [share(knn_correct(known, labels[voters], asked, labels[queries], k, temperature))
                     for _, k, temperature in VOTES]
            print(f"| {name} | {seed} | {' | '.join(cells)} |", flush=True)


def compare(arguments):
    """The largest relative difference; prints the rest."""
    data = arguments.shared / "data"
    checkpoint = data / "checkpoints/simclr_mobilenetv2s_stl10.pth"
    answer, cached = probed(arguments.coretune, checkpoint, data / "cifar10")
    (test,) = [file for file in cached if len(file["labels"]) == TEST_IMAGES]
    model = pretrained(checkpoint)
    test_images = images_of(next((data / "cifar10/data").glob("test-*.parquet")), TEST_IMAGES)
    of_test = relative_difference(test["features"], features_of(model, test_images))
    print(f"{len(test_images)} test images: largest difference {of_test:.1e} of the largest feature", flush=True)

    # The probe keeps the features of the training images as they are and mirrored: only the first are found.
    first = features_of(model, images_of(min((data / "cifar10/data").glob("train-*.parquet")), 2000))
    candidates = [(file, *found_among(first, file["features"])) for file in cached if len(file["labels"]) == TRAINING_IMAGES]
    training, ours, theirs = max(candidates, key=lambda candidate: len(candidate[1]))
    if len(ours) == 0:
        raise SystemExit("no training image has the features that PyTorch computes")
    of_training = relative_difference(training["features"][theirs], first[ours])
    print(f"{len(ours)} of the {TRAINING_IMAGES} training images (all among the first {len(first)} of the file): {of_training:.1e}")

    chosen = torch.randperm(TEST_IMAGES, generator=torch.Generator().manual_seed(arguments.seed))[:1000]
    print(f"probe says: kNN {100 * answer['knn_top1']:.2f} %, linear probe {100 * answer['linear_top1']:.2f} %; "
          f"random weights {100 * answer['random']['knn_top1']:.2f} %, {100 * answer['random']['linear_top1']:.2f} %")
    print(f"| kNN | {TEST_IMAGES} test images (%) | 1000 of them, seed {arguments.seed} (%) |\n|---|---|---|")
    for name, neighbours, temperature in VOTES:
        correct = knn_correct(training["features"], training["labels"], test["features"], test["labels"], neighbours, temperature)
        print(f"| {name} | {share(correct)} | {share(correct[chosen])} |", flush=True)
    if arguments.initial_weights:
        compare_initial_weights(test_images, test["labels"], range(3))
    return max(of_test, of_training)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coretune", default=REPOSITORY / "target/release/coretune", type=Path)
    parser.add_argument("--shared", default=os.environ.get("CORETUNE_SHARED", REPOSITORY.parent / "shared"), type=Path,
                        help="folder that holds data/checkpoints and data/cifar10 (default: $CORETUNE_SHARED, else ../shared)")
    parser.add_argument("--seed", default=0, type=int, help="which 1,000 test images (default: 0)")
    parser.add_argument("--initial-weights", action="store_true", help="measure two ways to draw initial weights too")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__.split('+')[0]}, {torch.get_num_threads()} thread(s)", flush=True)
    with torch.inference_mode():
        worst = compare(arguments)
    if not worst <= TOLERANCE:
        raise SystemExit(f"differs by {worst:.1e}, more than {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
