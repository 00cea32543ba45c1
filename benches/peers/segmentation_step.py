"""The segmentation step of coretune in PyTorch and torchvision: what `segmentation_step` is measured against.

    make peers
    .peers/bin/python benches/peers/segmentation_step.py --model resnet18 --width 0.5
    .peers/bin/python benches/peers/segmentation_step.py --model resnet50 --precision bf16
    .peers/bin/python benches/peers/segmentation_step.py --objective evaluate

One step: uint8 crops [n, h, w, 3] -> normalise -> torchvision's ResNet, dilated to output stride 16 -> its DeepLabHead ->
logits upsampled -> cross-entropy of the labelled pixels -> backward -> fused SGD with Nesterov momentum 0.9 and weight decay
1e-4; channels-last. `evaluate` is logits, cross-entropy, classes and confusion matrix of single images of 320 x 240 pixels.
Prints one JSON line with the same keys as the Rust side: medians over steps, so that a disturbed step does not count.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, conv1x1
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
SQUARE, IGNORED = 40, 255


class DilatedBlock(BasicBlock):
    """torchvision's BasicBlock refuses dilation."""

    def __init__(self, inputs, outputs, stride=1, downsample=None, dilation=1):
        super().__init__(inputs, outputs, stride, downsample)
        for convolution in [self.conv1, self.conv2]:
            convolution.dilation = convolution.padding = (dilation, dilation)


class Backbone(nn.Module):
    """A ResNet of basic blocks at output stride 16, channels times `width`."""

    def __init__(self, blocks, width):
        super().__init__()
        planes = [round(64 * width * 2**stage) for stage in range(4)]
        layers = [nn.Conv2d(3, planes[0], 7, 2, 3, bias=False), nn.BatchNorm2d(planes[0]), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        inputs = planes[0]
        for stage, (outputs, count) in enumerate(zip(planes, blocks)):
            for block in range(count):
                stride = 2 if block == 0 and stage in (1, 2) else 1
                shortcut = None
                if stride != 1 or inputs != outputs:
                    shortcut = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
                # The first block of a dilated stage has the dilation of the stage before, as in torchvision.
                layers.append(DilatedBlock(inputs, outputs, stride, shortcut, 2 if stage == 3 and block > 0 else 1))
                inputs = outputs
        self.layers, self.outputs = nn.Sequential(*layers), inputs

    def forward(self, x):
        return self.layers(x)


def network(name, width, classes):
    blocks = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}.get(name)
    if blocks:
        backbone = Backbone(blocks, width)
        channels = backbone.outputs
    elif width == 1.0:
        whole = getattr(torchvision.models, name)(weights=None, replace_stride_with_dilation=[False, False, True])
        channels = whole.fc.in_features
        backbone = nn.Sequential(*list(whole.children())[:-2])
    else:
        raise SystemExit("torchvision's bottleneck networks have width 1 only here")
    head = DeepLabHead(channels, classes, atrous_rates=(6, 12, 18))
    head[0].project[3] = nn.Identity()
    return nn.Sequential(backbone, head)


def masks_of(images, height, width, classes):
    """Squares of one class each, every twelfth of them ignored."""
    image, y, x = torch.meshgrid(torch.arange(images), torch.arange(height), torch.arange(width), indexing="ij")
    square = 7 * image + 3 * (y // SQUARE) + 5 * (x // SQUARE)
    return torch.where(square % 12 == 11, IGNORED, square % classes).to(torch.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--objective", choices=["cross-entropy", "evaluate"], default="cross-entropy")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=2)
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = network(args.model, args.width, args.classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True, fused=True)
    count, height, width = (1, 240, 320) if args.objective == "evaluate" else (args.batch, args.size, args.size)
    images = torch.randint(256, (count, height, width, 3), dtype=torch.uint8)
    masks = masks_of(count, height, width, args.classes)
    scale, shift = 1 / (255 * STD), -MEAN / STD

    def logits_of_pixels():
        pixels = (images.float() * scale + shift).permute(0, 3, 1, 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            logits = model(pixels)
        return F.interpolate(logits.float(), (height, width), mode="bilinear", align_corners=False)

    def step():
        loss = F.cross_entropy(logits_of_pixels(), masks.long(), ignore_index=IGNORED)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    confusion = torch.zeros(args.classes * args.classes, dtype=torch.long)
    losses = []

    @torch.no_grad()
    def evaluate():
        logits, truth = logits_of_pixels(), masks.long()
        losses.append(F.cross_entropy(logits, truth, ignore_index=IGNORED, reduction="sum").item())
        labelled = truth != IGNORED
        places = truth[labelled] * args.classes + logits.argmax(1)[labelled]
        confusion.add_(places.bincount(minlength=args.classes * args.classes))

    model.train(args.objective != "evaluate")
    work = evaluate if args.objective == "evaluate" else step
    for _ in range(args.warm_up):
        work()
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({
        "implementation": f"pytorch {torch.__version__.split('+')[0]}", "model": args.model, "width": args.width,
        "size": [height, width], "batch": count, "objective": args.objective, "precision": args.precision,
        "threads": args.threads, "steps": args.steps, "seconds_per_step": round(median, 6),
        "images_per_second": round(count / median, 2),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
    }))


if __name__ == "__main__":
    main()
