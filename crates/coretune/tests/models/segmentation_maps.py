"""Logits of torchvision's segmentation networks for weights and images that Rust can make too.

    make peers
    .peers/bin/python crates/coretune/tests/models/segmentation_maps.py

As in torchvision_logits.py, no weight is stored: each follows from its name. What is stored are the logits at the stride of
the head. ResNet-18 and ResNet-34, and output stride 16, are not in torchvision: `dilate` makes them of its blocks.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from safetensors.numpy import save_file
from torch import nn
from torchvision.models import resnet, segmentation
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3
from torchvision.models.segmentation.fcn import FCN, FCNHead

from torchvision_logits import filled, unit_numbers

CLASSES = 5
SIDE = 65
# Where it is cheap, large enough for every branch of DeepLab-V3 to read more than the centre of its 3x3 kernel.
LARGE_SIDE = 305
RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
HEADS = {"deeplabv3": DeepLabV3, "fcn": FCN}


class PlusHead(DeepLabHead):
    """DeepLab-V3+: torchvision's pyramid, enlarged to the map of `layer1`, which joins it in 48 channels; two convolutions."""

    def __init__(self, inputs, details, classes, rates):
        super().__init__(inputs, classes, rates)
        self[1] = nn.Conv2d(256 + 48, 256, 3, padding=1, bias=False)
        self.details = nn.Sequential(nn.Conv2d(details, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.refine = nn.Sequential(nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU())

    def forward(self, maps):
        out, details = maps[0], self.details(maps[1])
        enlarged = F.interpolate(self[0](out), details.shape[-2:], mode="bilinear", align_corners=False)
        joined = torch.cat([enlarged, details], 1)
        return self[4](self.refine(self[3](self[2](self[1](joined)))))


def dilate(backbone, output_stride):
    """Replaces the strides of the last stages by dilation; the first block of such a stage keeps the dilation before it."""
    before = 1
    for stage in [backbone.layer3, backbone.layer4][output_stride // 16 :]:
        after = 2 * before
        for index, block in enumerate(stage):
            for convolution in [module for module in block.modules() if isinstance(module, torch.nn.Conv2d)]:
                convolution.stride = (1, 1)
                if convolution.kernel_size == (3, 3):
                    convolution.dilation = convolution.padding = (after if index else before,) * 2
        before = after
    return backbone


def ours(name, head, output_stride):
    """torchvision's head with an auxiliary one on a dilated backbone of its blocks."""
    backbone = dilate(getattr(resnet, name)(weights=None), output_stride)
    width = backbone.fc.in_features
    if head == "deeplabv3plus":
        details = backbone.layer2[0].conv1.in_channels
        backbone = IntermediateLayerGetter(backbone, {"layer1": "details", "layer4": "out", "layer3": "aux"})
        return DeepLabV3(backbone, PlusHead(width, details, CLASSES, RATES[output_stride]), FCNHead(width // 2, CLASSES))
    backbone = IntermediateLayerGetter(backbone, {"layer4": "out", "layer3": "aux"})
    main = DeepLabHead(width, CLASSES, RATES[output_stride]) if head == "deeplabv3" else FCNHead(width, CLASSES)
    return HEADS[head](backbone, main, FCNHead(width // 2, CLASSES))


def theirs(name, head):
    """torchvision's own network."""
    make = getattr(segmentation, f"{head}_{name}")
    return make(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)


@torch.no_grad()
def fill(model):
    for key, tensor in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            tensor.copy_(filled(key, tuple(tensor.shape)))
    return model.eval()


def images(side):
    shape = (1, 3, side, side)
    return torch.from_numpy((4.0 * unit_numbers("images", 3 * side * side) - 2.0).astype(np.float32).reshape(shape))


@torch.no_grad()
def maps(model, x):
    """Logits of head and auxiliary head at their stride, and the head's at every pixel."""
    features = model.backbone(x)
    auxiliary = model.aux_classifier(features["aux"])
    if "details" not in features:
        return model.classifier(features["out"]), auxiliary, model(x)["out"]
    logits = model.classifier([features["out"], features["details"]])
    return logits, auxiliary, F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)


def networks():
    """Name of each network, and what makes it."""
    for head in HEADS:
        yield f"{head}_resnet50_8", lambda head=head: theirs("resnet50", head)
        for name in ["resnet18", "resnet34"]:
            for stride in [8, 16]:
                yield f"{head}_{name}_{stride}", lambda head=head, name=name, stride=stride: ours(name, head, stride)
    yield "deeplabv3plus_resnet18_16", lambda: ours("resnet18", "deeplabv3plus", 16)


def main():
    torch.set_num_threads(2)
    expected = {}
    for key, make in networks():
        x = images(LARGE_SIDE if key.startswith("deeplabv3_resnet18") else SIDE)
        out, auxiliary, pixels = maps(fill(make()), x)
        print(f"{key:24} {tuple(out.shape)} largest |logit| {out.abs().max():.4g}, spread {out.std(dim=(2, 3)).max():.4g}")
        expected |= {key: out.numpy(), f"{key}.auxiliary": auxiliary.numpy()}
        if key == "deeplabv3_resnet18_16":
            expected[f"{key}.pixels"] = pixels[:, :, ::16, ::16].contiguous().numpy()
    versions = {module.__name__: module.__version__.split("+")[0] for module in (torch, torchvision)}
    save_file(expected, Path(__file__).with_suffix(".safetensors"), metadata=versions)


if __name__ == "__main__":
    main()
