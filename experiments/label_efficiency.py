"""What labels are worth: methods from one pre-trained checkpoint on CIFAR-10 with 10, 50 and 500 labels per class.

    make build
    coretune pretrain --data-dir IMAGES --output runs/encoder
    python3 experiments/label_efficiency.py --checkpoint runs/encoder --jobs 2 --threads 1
    python3 experiments/tabulate_label_efficiency.py runs/label-efficiency > curve.md
    python3 experiments/tabulate.py runs/label-efficiency/10-per-class > one-count.md

The checkpoint is a file, or the folder of a finished run. Each count of labels is a comparison of its own, made as
cifar10_simclr.py makes its one (the same search on seed 0, judged by as many validation labels again, at most 100 per class;
then seeds 1 and 2), in a folder of its own: OUTPUT/10-per-class and so on. The epochs belong to the count, since fewer
images make fewer steps. The linear probe on frozen features has no runs of its own: that of cross-entropy measures it
before it trains.

What is finished is not run again; a run is known by its arguments, so another checkpoint under the same name needs another
--output. Needs the Python standard library only.
"""

import argparse
import shlex
import sys
from pathlib import Path

import cifar10_simclr
from cifar10_simclr import REPOSITORY, Comparison, add_options, carry_out, obstacles, refused, wanted

EPOCHS = {10: 60, 50: 25, 500: 6}
# A last short batch is dropped, which would be a third of 100 images in batches of 64.
BATCH_SIZE = 50
MOST_VALIDATION = 100

LABELS = ["cross-entropy", "LP-FT", "Core-tuning own", "Core-tuning own, LP head"]
METHODS = [method for method in cifar10_simclr.METHODS if method.label in LABELS]


def folder(output, count):
    return output / f"{count}-per-class"


def comparison(options, count):
    """That of one count of labels."""
    of_count = {"per_class": count, "val_per_class": min(count, MOST_VALIDATION), "epochs": options.epochs[count],
                "output": folder(options.output, count)}
    return Comparison(argparse.Namespace(**{**vars(options), **of_count}), title=f"{count} per class ")


def without_epochs(options):
    """Counts of labels that nobody said how long to train on, in words."""
    for count in options.per_class:
        if count not in options.epochs:
            yield f"no epochs for {count} labels per class; add --epochs {count}=NUMBER"


def epochs_of_count(text):
    """`10=60`: with 10 labels per class 60 epochs."""
    count, epochs = text.split("=")
    return int(count), int(epochs)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "runs" / "label-efficiency")
    parser.add_argument("--checkpoint", type=Path, required=True,
                        help="what `coretune pretrain` made: its run folder or a file")
    parser.add_argument("--per-class", type=int, nargs="+", default=list(EPOCHS), metavar="COUNT",
                        help="labels per class to train on (10 50 500)")
    parser.add_argument("--epochs", type=epochs_of_count, nargs="+", default=[], metavar="COUNT=EPOCHS",
                        help="epochs by labels per class, over or beside 10=60 50=25 500=6")
    add_options(parser)
    parser.set_defaults(batch_size=BATCH_SIZE)
    options = parser.parse_args(argv)
    options.per_class = sorted(set(options.per_class))
    options.epochs = {**EPOCHS, **dict(options.epochs)}
    return options


def main(argv=None):
    options = parse(argv)
    if refused([*obstacles(options, METHODS), *without_epochs(options)]):
        return 2
    status = carry_out([comparison(options, count) for count in options.per_class], wanted(options, METHODS))
    if status == 0:
        print(f"python3 experiments/tabulate_label_efficiency.py {shlex.quote(str(options.output))}")
    return status


if __name__ == "__main__":
    sys.exit(main())
