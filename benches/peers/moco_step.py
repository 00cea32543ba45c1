"""The step of MoCo v2 in PyTorch, as one would write it by hand: what `pretraining_step` is measured against.

    make peers
    .peers/bin/python benches/peers/moco_step.py --width 0.25 --size 32 --batch 256 --groups 8

One step: uint8 views [2n, h, w, 3] -> normalise -> momentum update of the key encoder -> keys (shuffled, batch norm in
groups, no gradient) -> queries (batch norm in groups) -> InfoNCE against the queue -> backward -> SGD with momentum 0.9 and
weight decay 5e-4 -> the keys enter the queue. Batch norm in groups is done in the two ways in use: `--norm split` with a
batch norm that moves the groups into channels (the MoCo authors' demonstration on CIFAR-10), `--norm parts` with each group
sent through the network by itself. Prints one JSON line with the same keys as the Rust side.
"""

import argparse
import copy
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock

MEAN = torch.tensor([0.4914, 0.4822, 0.4465])
STD = torch.tensor([0.2023, 0.1994, 0.2010])
DIM, QUEUE, TEMPERATURE, MOMENTUM = 128, 4096, 0.2, 0.99


class SplitNorm(nn.BatchNorm2d):
    """Batch norm over each of `groups` parts of the batch by itself."""

    groups = 1

    def forward(self, x):
        if not self.training or self.groups == 1:
            return super().forward(x)
        n, c, h, w = x.shape
        g = self.groups
        mean, variance = self.running_mean.repeat(g), self.running_var.repeat(g)
        y = F.batch_norm(x.reshape(n // g, c * g, h, w), mean, variance, self.weight.repeat(g), self.bias.repeat(g), True, self.momentum, self.eps)
        with torch.no_grad():
            self.running_mean.copy_(mean.view(g, c).mean(0))
            self.running_var.copy_(variance.view(g, c).mean(0))
        return y.reshape(n, c, h, w)


class Encoder(nn.Module):
    """ResNet-18 for small images, channels times `width`, with MoCo's head."""

    def __init__(self, width, norm):
        super().__init__()
        planes = [round(64 * width * 2**stage) for stage in range(4)]
        self.stem = nn.Sequential(nn.Conv2d(3, planes[0], 3, 1, 1, bias=False), norm(planes[0]), nn.ReLU(inplace=True))
        blocks, inputs = [], planes[0]
        for stage, outputs in enumerate(planes):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                shortcut = None
                if stride != 1 or inputs != outputs:
                    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))
                blocks.append(BasicBlock(inputs, outputs, stride, shortcut, norm_layer=norm))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(inplace=True), nn.Linear(inputs, DIM))

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--norm", choices=["split", "parts"], default="parts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=2)
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    SplitNorm.groups = args.groups if args.norm == "split" else 1
    parts = args.groups if args.norm == "parts" else 1
    query = Encoder(args.width, SplitNorm).to(memory_format=torch.channels_last).train()
    key = copy.deepcopy(query).requires_grad_(False)
    optimizer = torch.optim.SGD(query.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4, foreach=True)
    queue, pointer = F.normalize(torch.randn(DIM, QUEUE), dim=0), 0
    views = torch.randint(256, (2 * args.batch, args.size, args.size, 3), dtype=torch.uint8)
    scale, shift = 1 / (255 * STD), -MEAN / STD

    def in_parts(encoder, images):
        return torch.cat([encoder(part) for part in images.chunk(parts)])

    def step():
        nonlocal pointer
        pixels = (views.float() * scale + shift).permute(0, 3, 1, 2)
        with torch.no_grad():
            torch._foreach_lerp_(list(key.parameters()), list(query.parameters()), 1 - MOMENTUM)
            order = torch.randperm(args.batch)
            shuffled = pixels[args.batch :][order].contiguous(memory_format=torch.channels_last)
            keys = F.normalize(in_parts(key, shuffled))[order.argsort()]
        queries = F.normalize(in_parts(query, pixels[: args.batch]))
        logits = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ queue], 1) / TEMPERATURE
        loss = F.cross_entropy(logits, torch.zeros(args.batch, dtype=torch.long))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            queue[:, pointer : pointer + args.batch] = keys.T
        pointer = (pointer + args.batch) % QUEUE

    for _ in range(args.warm_up):
        step()
    seconds = []
    for _ in range(args.steps):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    print(json.dumps({
        "side": "pytorch", "norm": args.norm, "width": args.width, "size": args.size, "batch": args.batch,
        "groups": args.groups, "threads": args.threads, "steps": args.steps, "median_ms": 1000 * median,
        "images_per_second": args.batch / median, "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
