"""The training step of coretune in PyTorch, as one would write it by hand: what `training_step` is measured against.

    make peers
    .peers/bin/python benches/peers/step.py --model mobilenet_v2_32 --width 0.5 --size 32 --batch 64

One step: uint8 images [n, h, w, 3] -> normalise -> backbone (channels-last, batch norm in training mode) -> objective
-> backward -> SGD with Nesterov momentum 0.9 and weight decay 1e-4. The objective `core-tuning` is M1-M7 of the method
(pair scheme `own`), vectorised.
Prints one JSON line with the same keys as the Rust side: medians over steps, so that a disturbed step does not count.

    --device cuda   computes on the GPU; a step then includes the copy of its images and labels from pinned memory
    --fused         one kernel for the update of all weights
    --compile       backbone through torch.compile
    --calls         counts the calls into the dispatcher of one step instead of timing it: those at the outermost level,
                    without views and detach
    --small-stem    a ResNet for images of 32 pixels: 3 x 3 convolution, no pooling
"""

import argparse
import collections
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

try:
    import torchvision
except ImportError:
    torchvision = None  # resnet.py has the two networks that a machine without it is measured with

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])
TEMPERATURE, ETA, ALPHA = 0.07, 1.0, 1.0


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, expansion, stride):
        super().__init__()
        planes = expansion * inputs
        self.residual = stride == 1
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, groups=planes, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if self.residual and inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return y.add_(self.shortcut(x)) if self.residual else y


class MobileNetV2(nn.Module):
    """For 32x32 images; channels after the stem times `width`."""

    ROWS = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        layers, channels = [], 32
        for expansion, outputs, blocks, stride in self.ROWS:
            for block in range(blocks):
                outputs_here = round(outputs * width)
                layers.append(InvertedResidual(channels, outputs_here, expansion, stride if block == 0 else 1))
                channels = outputs_here
        self.layers = nn.Sequential(*layers)
        self.features = round(1280 * width)
        self.conv2 = nn.Conv2d(channels, self.features, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(self.features)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(self.layers(x))), inplace=True)
        return x.mean((2, 3))


def backbone(name, width, small_stem):
    if name == "mobilenet_v2_32":
        model = MobileNetV2(width)
        return model, model.features
    if width != 1.0:
        raise SystemExit("torchvision's models have width 1 only")
    if torchvision is None:
        from resnet import resnet
        model = resnet(name)
        features = model.features
    else:
        model = getattr(torchvision.models, name)(weights=None)
        features = model.fc.in_features
        model.fc = nn.Identity()
    if small_stem:
        model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        model.maxpool = nn.Identity()
    return model, features


# Calls that compute nothing: they are not counted.
VIEWS = {f"aten::{name}" for name in (
    "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "expand_as", "unsqueeze", "squeeze", "select", "slice",
    "narrow", "split", "split_with_sizes", "chunk", "unbind", "as_strided", "alias", "detach", "detach_", "numpy_T", "view_as",
    "flatten", "unflatten", "diagonal", "_reshape_alias", "lift_fresh")}


def dispatcher_calls(step):
    """Calls of one step by name: operators that no other operator called."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    operators = lambda event: event.scope == 0 and event.name.startswith("aten::")

    def is_outermost(event):
        parent = event.cpu_parent
        while parent is not None:
            if operators(parent):
                return False
            parent = parent.cpu_parent
        return True

    names = (event.name for event in profile.events() if operators(event) and event.name not in VIEWS and is_outermost(event))
    return collections.Counter(names)


def core_tuning(features, labels, classes, classifier, projection):
    """M1-M7 with pair scheme `own`, for a batch of several classes."""
    n = len(labels)
    with torch.no_grad():
        unit = F.normalize(features.detach())
        cosine = unit @ unit.T
        same = labels[:, None] == labels[None, :]
        device = features.device
        positive = same & ~torch.eye(n, dtype=torch.bool, device=device)
        hardest_positive = cosine.masked_fill(~positive, torch.inf).argmin(1)
        hardest_positive = torch.where(positive.any(1), hardest_positive, torch.arange(n, device=device))
        hardest_negative = cosine.masked_fill(same, -torch.inf).argmax(1)
        partner = torch.multinomial((~same).float(), 1)[:, 0]
        beta = torch.distributions.Beta(torch.tensor(ALPHA, device=device), torch.tensor(ALPHA, device=device))
        for_positive = beta.sample((n, 1))
        for_negative = beta.sample((n, 1)).clamp_min(0.8)
    targets = F.one_hot(labels, classes).float()

    def mixed(rows):
        hard = for_positive * rows.index_select(0, hardest_positive) + (1 - for_positive) * rows.index_select(0, hardest_negative)
        semi_hard = (1 - for_negative) * rows + for_negative * rows.index_select(0, partner)
        return torch.cat([rows, hard, semi_hard])

    rows, soft_targets = mixed(features), mixed(targets)
    classification = F.cross_entropy(classifier(rows), soft_targets)

    z = F.normalize(projection(rows))
    anchors = z[:n]
    own = torch.stack([(anchors * z[n : 2 * n]).sum(1), (anchors * z[2 * n :]).sum(1)], 1)
    logits = torch.cat([anchors @ anchors.T, own], 1) / TEMPERATURE
    outside = F.pad(torch.eye(n, dtype=torch.bool, device=device), (0, 2))
    generated = torch.arange(2, device=device).eq(0).expand(n, 2)
    weights = torch.cat([positive, generated], 1).float()
    log_p = F.log_softmax(logits.masked_fill(outside, -torch.inf), 1).masked_fill(outside, 0.0)
    per_anchor = (weights * -torch.expm1(log_p) * log_p).sum(1) / weights.sum(1)
    return classification - ETA * per_anchor.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenet_v2_32")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--objective", choices=["core-tuning", "cross-entropy"], default="core-tuning")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--calls", action="store_true")
    parser.add_argument("--small-stem", action="store_true")
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    on_gpu = device.type == "cuda"
    torch.backends.cudnn.benchmark = True
    model, width = backbone(args.model, args.width, args.small_stem)
    model = model.to(device=device, memory_format=torch.channels_last).train()
    classifier = nn.Linear(width, args.classes, bias=False).to(device)
    projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 256)).to(device)
    parts = [model, classifier] if args.objective == "cross-entropy" else [model, classifier, projection]
    weights = [weight for part in parts for weight in part.parameters()]
    optimizer = torch.optim.SGD(weights, lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True,
                                fused=args.fused or None, foreach=None if args.fused else True)
    features_of = torch.compile(model) if args.compile else model
    images = torch.randint(256, (args.batch, args.size, args.size, 3), dtype=torch.uint8)
    labels = torch.arange(args.batch) % args.classes
    if on_gpu:
        images, labels = images.pin_memory(), labels.pin_memory()
    scale, shift = (1 / (255 * STD)).to(device), (-MEAN / STD).to(device)

    def step():
        inputs, targets = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        pixels = (inputs.float() * scale + shift).permute(0, 3, 1, 2)
        with torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16"):
            features = features_of(pixels)
        features = features.float()
        if args.objective == "cross-entropy":
            loss = F.cross_entropy(classifier(features), targets)
        else:
            loss = core_tuning(features, targets, args.classes, classifier, projection)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for _ in range(args.warm_up):
        step()
    if args.calls:
        calls = dispatcher_calls(step)
        print(json.dumps({"implementation": "pytorch", "calls": sum(calls.values()), "by_name": dict(calls.most_common())}))
        return
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({
        "implementation": f"pytorch {torch.__version__.split('+')[0]}", "model": args.model, "width": args.width,
        "size": args.size, "batch": args.batch, "objective": args.objective, "precision": args.precision,
        "device": args.device, "fused": args.fused, "compiled": args.compile, "threads": args.threads, "steps": args.steps, "seconds_per_step": round(median, 6),
        "images_per_second": round(args.batch / median, 2),
    }))


if __name__ == "__main__":
    main()
