"""Logits of torchvision's models for weights and images that Rust can make too.

    make peers
    .peers/bin/python crates/coretune/tests/models/torchvision_logits.py

No weight is stored. Every tensor is filled with numbers that follow from its name alone, in exact integer arithmetic
(SplitMix64 started from the FNV-1a hash of the name), so that torchvision.rs fills a network of 25 million
weights alike, and only the logits are committed.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file

MODELS = ["resnet18", "resnet34", "resnet50", "wide_resnet50_2", "resnext50_32x4d"]
CLASSES = 100
IMAGES = (2, 3, 64, 64)


def unit_numbers(name, count):
    """`count` numbers of [0, 1) that belong to `name`."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def value_range(name, shape):
    """Smallest and largest value of a tensor, such that activations neither vanish nor explode."""
    if len(shape) == 4:
        bound = math.sqrt(3.0 / math.prod(shape[1:]))
    elif len(shape) == 2:
        bound = math.sqrt(1.0 / shape[1])
    elif name.endswith((".running_var", ".weight")):
        return 0.5, 1.5
    else:
        bound = 0.2
    return -bound, bound


def filled(name, shape):
    low, high = value_range(name, shape)
    values = low + (high - low) * unit_numbers(name, math.prod(shape))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


@torch.no_grad()
def logits(name):
    model = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)
    for key, tensor in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            tensor.copy_(filled(key, tuple(tensor.shape)))
    images = torch.from_numpy((4.0 * unit_numbers("images", math.prod(IMAGES)) - 2.0).astype(np.float32).reshape(IMAGES))
    return model.eval()(images).numpy()


def main():
    expected = {name: logits(name) for name in MODELS}
    for name, values in expected.items():
        spread = np.abs(values[0] - values[1]).max()
        print(f"{name:16} largest |logit| {np.abs(values).max():.4g}, spread over images {spread:.4g}")
    path = Path(__file__).with_suffix(".safetensors")
    versions = {module.__name__: module.__version__.split("+")[0] for module in (torch, torchvision)}
    save_file(expected, path, metadata=versions)


if __name__ == "__main__":
    main()
