"""Times a supervised contrastive loss with its gradient beside pytorch-metric-learning.

    pip install pytorch-metric-learning    # into the environment of `make peers`
    .peers/bin/python benches/peers/supcon.py --rows 4096 --width 256

Prints a JSON line; `cargo bench -p coretune --bench contrast` prints one with the same keys. Medians over steps.
"""

import argparse
import json
import statistics
import time

import torch
from pytorch_metric_learning.losses import SupConLoss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(args.rows, args.width)).requires_grad_()
    labels = torch.arange(args.rows) % args.classes
    loss_of = SupConLoss(temperature=0.07)
    seconds, busy = [], []
    for _ in range(args.steps + 1):
        start, worked = time.perf_counter(), time.process_time()
        loss_of(rows, labels).backward()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - worked)
    print(json.dumps({"implementation": "pytorch-metric-learning", "rows": args.rows, "width": args.width, "threads": args.threads,
                      "seconds": round(statistics.median(seconds[1:]), 4),
                      "processor_seconds": round(statistics.median(busy[1:]), 4)}))


if __name__ == "__main__":
    main()
