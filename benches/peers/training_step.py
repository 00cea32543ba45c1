"""The Core-tuning training step (M1-M7, pairs `own`) in plain PyTorch, timed: what `make bench` measures coretune against.

Prints one JSON line: engine, model, img_size, batch_size, precision, threads, steps, images_per_second.
The same step as coretune's: normalise, backbone, mining, mixing, both losses, backward, SGD Nesterov; channels-last.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

TAU, ALPHA, ETA, CLASSES = 0.07, 1.0, 1.0, 10


class InvertedResidual(nn.Module):
    """Expansion, depthwise and projection convolutions; a residual when the stride is 1."""

    def __init__(self, inputs, outputs, expansion, stride):
        super().__init__()
        hidden = inputs * expansion
        self.body = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = stride == 1
        self.shortcut = nn.Identity() if inputs == outputs else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return self.body(x) + self.shortcut(x) if self.residual else self.body(x)


def mobilenet_v2_32():
    """MobileNetV2 for 32x32 images at half width, pooled to 640 features."""
    groups = [(1, 8, 1, 1), (6, 12, 2, 1), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1)]
    layers = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True)]
    width = 32
    for expansion, outputs, blocks, stride in groups:
        for block in range(blocks):
            layers.append(InvertedResidual(width, outputs, expansion, stride if block == 0 else 1))
            width = outputs
    layers += [nn.Conv2d(width, 640, 1, bias=False), nn.BatchNorm2d(640), nn.ReLU(inplace=True),
               nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), 640


def resnet50():
    """torchvision's ResNet-50, pooled to 2048 features."""
    net = torchvision.models.resnet50()
    net.fc = nn.Identity()
    return net, 2048


MODELS = {"mobilenet_v2_32": mobilenet_v2_32, "resnet50": resnet50}


def hard_pairs(features, labels, targets):
    """M1-M3: hard positives, semi-hard negatives and their soft labels."""
    with torch.no_grad():
        unit = F.normalize(features.float())
        cosine = unit @ unit.T
        same = labels[:, None] == labels[None, :]
        itself = torch.eye(len(labels), dtype=torch.bool)
        positive = cosine.masked_fill(~same | itself, torch.inf)
        positive.diagonal().masked_fill_((same & ~itself).sum(1) == 0, -torch.inf)  # alone in its class: itself
        hardest_positive = positive.argmin(1)
        hardest_negative = cosine.masked_fill(same, -torch.inf).argmax(1)
        partner = torch.multinomial((~same).float(), 1).squeeze(1)
        beta = torch.distributions.Beta(ALPHA, ALPHA)
        lam = beta.sample((len(labels), 1))
        lam_negative = beta.sample((len(labels), 1)).clamp_min(0.8)

    def mix(rows):
        hard = lam * rows.index_select(0, hardest_positive) + (1 - lam) * rows.index_select(0, hardest_negative)
        semi_hard = (1 - lam_negative) * rows + lam_negative * rows.index_select(0, partner)
        return torch.cat([rows, hard, semi_hard])

    return mix(features), mix(targets)


def focal_contrastive(z, labels):
    """M4, M5 with the pair scheme `own`."""
    n = len(labels)
    originals, hard, semi_hard = z.split(n)
    itself = torch.eye(n, dtype=torch.bool)
    between = (originals @ originals.T / TAU).masked_fill(itself, -torch.inf)
    own = torch.stack([(originals * hard).sum(1), (originals * semi_hard).sum(1)], 1) / TAU
    log_p = F.log_softmax(torch.cat([between, own], 1), 1)
    weights = torch.cat([(labels[:, None] == labels[None, :]) & ~itself,
                         torch.tensor([True, False]).expand(n, 2)], 1).float()
    log_p = log_p.masked_fill(weights == 0, 0)
    terms = weights * (1 - log_p.exp()) * log_p
    return -(terms.sum(1) / weights.sum(1)).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="mobilenet_v2_32")
    parser.add_argument("--img-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--amp", choices=["off", "bf16"], default="off")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=20, help="how long to measure, after three steps to warm up")
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    backbone, width = MODELS[args.model]()
    backbone = backbone.to(memory_format=torch.channels_last).train()
    classifier = nn.Linear(width, CLASSES, bias=False)
    projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 256))
    weights = [*backbone.parameters(), *classifier.parameters(), *projection.parameters()]
    optimizer = torch.optim.SGD(weights, lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    # bytes as the loader hands them over: [n, h, w, c]
    images = torch.randint(0, 256, (args.batch_size, args.img_size, args.img_size, 3), dtype=torch.uint8)
    labels = torch.arange(args.batch_size) % CLASSES
    targets = F.one_hot(labels, CLASSES).float()

    def step():
        x = (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
        with torch.autocast("cpu", torch.bfloat16, enabled=args.amp == "bf16"):
            features = backbone(x)
        rows, soft = hard_pairs(features.float(), labels, targets)
        loss = F.cross_entropy(classifier(rows), soft)
        loss = loss + ETA * focal_contrastive(F.normalize(projection(rows)), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < args.seconds or steps < 3:
        step()
        steps += 1
    print(json.dumps({
        "engine": f"PyTorch {torch.__version__}", "model": args.model, "img_size": args.img_size,
        "batch_size": args.batch_size, "precision": "bf16" if args.amp == "bf16" else "f32", "threads": args.threads,
        "steps": steps, "images_per_second": round(steps * args.batch_size / elapsed, 2)}))


if __name__ == "__main__":
    main()
