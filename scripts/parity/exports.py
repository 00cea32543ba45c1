"""Reads what `coretune export` writes with torchvision, timm, PyTorch and onnxruntime, and compares logits.

    make build peers
    .peers/bin/python scripts/parity/exports.py --coretune target/release/coretune

Models of random weights, with batch-norm statistics far from the identity, are made with torchvision (the 32x32
MobileNetV2 with benches/peers/step.py), written as run folders of coretune and exported to every format. Every reader
computes the logits of the images that coretune compared on (FILE.parity.safetensors); printed is the largest difference
from coretune's logits, relative to the largest logit. The model that the weights came from is one of the readers, so
that an error that all exports share would show. Fails above 1e-4.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import safetensors
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[2] / "benches/peers"))
import step  # noqa: E402

MODELS = [("resnet18", 224), ("resnet50", 224), ("resnext50_32x4d", 224), ("mobilenet_v2_32", 32)]
CLASSES = 10
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TEMPERATURE = 1.7
TOLERANCE = 1e-4
READERS = ["source", "torchvision", "timm", "torch", "onnxruntime"]


class MobileNet(step.MobileNetV2):
    """With a classifier, under the name of the common CIFAR implementation."""

    def __init__(self):
        super().__init__(1.0)
        self.linear = nn.Linear(self.features, CLASSES)

    def forward(self, x):
        return self.linear(super().forward(x))


def fresh(name):
    if name == "mobilenet_v2_32":
        return MobileNet()
    return getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)


@torch.no_grad()
def random_model(name, generator):
    model = fresh(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, (low, high) in [(module.weight, (0.5, 1.5)), (module.bias, (-0.2, 0.2)),
                                        (module.running_mean, (-0.2, 0.2)), (module.running_var, (0.5, 1.5))]:
                tensor.uniform_(low, high, generator=generator)
            module.num_batches_tracked.fill_(100)
    return model.eval()


def write_run(model, name, size, folder):
    """A run folder as `coretune fit` leaves it, as far as an export reads it."""
    head = "linear." if name == "mobilenet_v2_32" else "fc."
    tensors = {f"classifier.{key[len(head):]}" if key.startswith(head) else f"backbone.{key}": tensor.contiguous()
               for key, tensor in model.state_dict().items()}
    description = {
        "architecture": {"family": name, "stem": "imagenet", "width": 1.0},
        "classes": [f"class {index}" for index in range(CLASSES)], "mean": MEAN, "std": STD, "img_size": size,
        "crop_pct": 0.875, "interpolation": "bilinear", "classifier_bias": True, "projection_width": None,
    }
    summary = {
        "method": "cross-entropy", "model": name, "data": "", "seed": 0, "epochs": 1, "steps": 1,
        "best": {"epoch": 1, "val_top1": 0.5}, "test": None, "probe": None, "temperature": TEMPERATURE,
        "images_per_second": 1.0, "wall_seconds": 1.0, "peak_rss_bytes": 0, "coverage": 1.0, "versions": {},
    }
    (folder / "checkpoints").mkdir(parents=True)
    metadata = {"format": "pt", "coretune": json.dumps({"model": description, "progress": None})}
    save_file(tensors, folder / "checkpoints/best.safetensors", metadata)
    (folder / "summary.json").write_text(json.dumps(summary))


def normalised(images):
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def of_torchvision(name, export, images):
    model = fresh(name).eval()
    model.load_state_dict(load_file(export("safetensors")), strict=True)
    return model(normalised(images))


def of_timm(name, export, images):
    if name == "mobilenet_v2_32":
        return None
    model = timm.create_model(name, num_classes=CLASSES, checkpoint_path=str(export("safetensors")))
    return model.eval()(normalised(images))


def of_torch(name, export, images):
    """torch.load of the published script's layout."""
    state = torch.load(export("pth"), weights_only=True, map_location="cpu")["state_dict"]
    head = "linear." if name == "mobilenet_v2_32" else "fc."
    renamed = {key.replace("module.extractor.", "").replace("module.classifier.", head): tensor
               for key, tensor in state.items()}
    model = fresh(name).eval()
    model.load_state_dict(renamed, strict=True)
    return model(normalised(images))


def of_onnxruntime(name, export, images):
    path = export("onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    pixels = images.numpy().astype(np.float32) / 255
    logits, probabilities = session.run(["logits", "probabilities"], {"image": pixels})
    (first,) = session.run(["logits"], {"image": pixels[:1]})
    assert np.allclose(first, logits[:1], atol=1e-4 * np.abs(logits).max()), "a batch of one differs"
    calibrated = (torch.from_numpy(logits) / TEMPERATURE).softmax(1).numpy()
    assert np.allclose(probabilities, calibrated, atol=1e-5), "not calibrated"
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"])[0] == "class 0"
    return torch.from_numpy(logits)


def compare(name, size, coretune, folder, generator):
    """{reader: largest difference relative to the largest logit}; None where a reader has no such network."""
    source = random_model(name, generator)
    run = folder / "run"
    write_run(source, name, size, run)

    def export(ending):
        return folder / f"{name}.{ending}"

    for ending in ["safetensors", "pth", "onnx"]:
        subprocess.run([coretune, "export", run, "--output", export(ending)], check=True, stdout=subprocess.DEVNULL)
    parity = load_file(f"{export('onnx')}.parity.safetensors")
    images, expected = parity["images"], parity["logits"]
    found = {
        "source": source(normalised(images)),
        "torchvision": of_torchvision(name, export, images),
        "timm": of_timm(name, export, images),
        "torch": of_torch(name, export, images),
        "onnxruntime": of_onnxruntime(name, export, images),
    }
    largest = expected.abs().max()
    return {reader: None if logits is None else float((logits - expected).abs().max() / largest)
            for reader, logits in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coretune", default="target/release/coretune", type=Path)
    parser.add_argument("--seed", default=0, type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    modules = (torch, torchvision, timm, onnx, onnxruntime, safetensors)
    versions = [(module.__name__, module.__version__) for module in modules]
    print(", ".join(f"{name} {version}" for name, version in versions))
    print(f"| model | {' | '.join(READERS)} |\n|{'---|' * (len(READERS) + 1)}")
    worst = 0.0
    for name, size in MODELS:
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            differences = compare(name, size, arguments.coretune, Path(folder), generator)
        cells = ["" if differences[reader] is None else f"{differences[reader]:.1e}" for reader in READERS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        worst = max([worst, *(difference for difference in differences.values() if difference is not None)])
    if not worst <= TOLERANCE:
        raise SystemExit(f"differs by {worst:.1e}, more than {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
