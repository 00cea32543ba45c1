"""Maps of the library's segmentation networks beside torchvision's, with the same weights at full size.

    make setup peers
    cargo build --release --example segmentation_maps
    .peers/bin/python scripts/parity/segmentation.py --maps target/release/examples/segmentation_maps

torchvision makes deeplabv3_resnet50, fcn_resnet50 and deeplabv3_resnet101 (21 classes, auxiliary head, output stride 8) with
random weights and batch-norm statistics far from the identity, and saves them as its training script does. The library
reads each file and computes images of 129 pixels. Compared are the logits at the stride of the heads, whole, and those of
500 pixels drawn at random; fails when the largest difference is above 1e-4 of the largest logit. ResNet-18 and ResNet-34 at
output strides 8 and 16, ResNet-50 at 16 and DeepLab-V3+ are compared in the same way with torchvision's blocks, put together
by tests/models/segmentation_maps.py. In the other direction torchvision loads the state dict that the library writes,
strictly, and every tensor must be the same; and onnxruntime computes the pixels of the graph that the library exports.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
import onnxruntime
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import segmentation

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "crates/coretune/tests/models"))
import segmentation_maps  # noqa: E402

CLASSES, SIDE, IMAGES, POSITIONS = 21, 129, 2, 500
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TOLERANCE = 1e-4
THEIRS = ["deeplabv3_resnet50", "fcn_resnet50", "deeplabv3_resnet101"]
OURS = [(head, name, stride) for head in ["deeplabv3", "fcn"] for name in ["resnet18", "resnet34"] for stride in [8, 16]]
OURS += [("deeplabv3", "resnet50", 16), ("fcn", "resnet50", 16)]
OURS += [("deeplabv3plus", name, stride) for name in ["resnet18", "resnet50"] for stride in [8, 16]]


def networks():
    """Name, output stride, and what makes the network."""
    for name in THEIRS:
        make = getattr(segmentation, name)
        yield name, 8, lambda make=make: make(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)
    segmentation_maps.CLASSES = CLASSES
    for head, name, stride in OURS:
        yield f"{head}_{name}", stride, lambda name=name, head=head, stride=stride: segmentation_maps.ours(name, head, stride)


@torch.no_grad()
def randomise(model, generator):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, (low, high) in [(module.weight, (0.5, 1.5)), (module.bias, (-0.2, 0.2)),
                                        (module.running_mean, (-0.2, 0.2)), (module.running_var, (0.5, 1.5))]:
                tensor.uniform_(low, high, generator=generator)
            module.num_batches_tracked.fill_(100)
    return model.eval()


@torch.no_grad()
def expected(model, images):
    normalised = (images.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    logits, auxiliary, pixels = segmentation_maps.maps(model, normalised)
    return {"logits": logits, "auxiliary": auxiliary, "pixels": pixels}


def differences(found, wanted, generator):
    """Largest difference of each map over its largest logit; of the pixels, at drawn positions."""
    places = torch.randint(SIDE * SIDE, (POSITIONS,), generator=generator)
    gaps = {}
    for name, value in wanted.items():
        gap = (found[name] - value).abs()
        gap = gap.flatten(2)[:, :, places] if name in ["pixels", "onnxruntime"] else gap
        gaps[name] = (gap.max() / value.abs().max()).item()
    return gaps


def graph_pixels(path, images):
    """Logits of every pixel, computed by onnxruntime."""
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = (images.permute(0, 3, 1, 2).float() / 255).contiguous().numpy()
    return torch.from_numpy(session.run(["logits"], {"image": image})[0])


def loads_back(model, found):
    """Whether torchvision's network takes every tensor of ours, under its own names, and had the same values."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict({name[len("network."):]: tensor for name, tensor in found.items() if name.startswith("network.")})
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=Path, required=True, help="the example segmentation_maps, built")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="networks whose name holds this text, such as deeplabv3plus")
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    images = torch.randint(256, (IMAGES, SIDE, SIDE, 3), generator=generator).byte()
    failed = False
    for name, stride, make in networks():
        if arguments.only not in name:
            continue
        model = randomise(make(), generator)
        wanted = expected(model, images)
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / file for file in ["model.pth", "images.safetensors", "maps.safetensors"]]
            torch.save({"model": model.state_dict()}, files[0])
            save_file({"images": images}, files[1])
            subprocess.run([arguments.maps, files[0], str(stride), *files[1:]], check=True)
            found = load_file(files[2])
            found["onnxruntime"] = graph_pixels(files[2].with_suffix(".onnx"), images)
            wanted["onnxruntime"] = wanted["pixels"]
        gaps = differences(found, wanted, generator)
        same = loads_back(model, found)
        failed |= max(gaps.values()) > TOLERANCE or not same
        text = "  ".join(f"{name} {gap:.1e}" for name, gap in gaps.items())
        print(f"{name:20} stride {stride:2}  {text}  state dict {'the same' if same else 'DIFFERS'}", flush=True)
    if failed:
        sys.exit("the maps or the weights differ")


if __name__ == "__main__":
    main()
