"""What only a GPU can show: every command on the device, agreement with the CPU, determinism, and speed beside PyTorch.

    ./run.sh 300                  on a machine with a GPU, in the folder that pack.sh made
    ./run.sh 300 --device cpu     the same script on a CPU, with sizes that a CPU can compute

Writes results.json and results.md into the folder --out. A check that fails is a line of the result, and the others go on;
the exit status is 1 if any failed. Images are made here, so no data set is needed.
"""

import argparse
import copy
import json
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import time
import traceback
import zlib
from pathlib import Path

import torch

from resnet import resnet

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "coretune"
ENCODER = HERE / "encoder.safetensors"
TOLERANCE, TIMES = 1e-5, 3


def png(pixels, side, channels=3):
    """Bytes of an RGB or grey image of `side` x `side` pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    line = channels * side
    rows = b"".join(b"\0" + pixels[line * y : line * (y + 1)] for y in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2 if channels == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def image_folder(folder, per_class, side=32):
    """Three classes that differ in the mean of a channel, with noise."""
    draw = random.Random(0)
    for split, count in (("train", per_class), ("val", per_class // 2), ("test", per_class // 2)):
        for label, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                mean = [90, 90, 90]
                mean[label] = 150
                pixels = bytes(min(255, max(0, int(draw.gauss(mean[i % 3], 40)))) for i in range(3 * side * side))
                (folder / split / name / f"{number}.png").write_bytes(png(pixels, side))
    return folder


def mask_folder(folder, count, side=64):
    """Noise with a brighter square, and masks that are 1 in the square and 0 elsewhere."""
    draw = random.Random(1)
    for split in ("train", "val", "test"):
        for name in (split, f"{split}annot"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            top, left = draw.randrange(side // 2), draw.randrange(side // 2)
            inside = [top <= y < top + side // 2 and left <= x < left + side // 2 for y in range(side) for x in range(side)]
            pixels = bytes(min(255, max(0, int(draw.gauss(150 if square else 90, 30)))) for square in inside for _ in range(3))
            (folder / split / f"{number}.png").write_bytes(png(pixels, side))
            (folder / f"{split}annot" / f"{number}.png").write_bytes(png(bytes(inside), side, channels=1))
    return folder


def cifar_folder(folder, thousands):
    """Random images in the format of CIFAR-10's binary files."""
    folder = folder / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 6):
        records = torch.randint(256, (int(1000 * thousands) // 5, 3073), dtype=torch.uint8)
        records[:, 0] %= 10
        (folder / f"data_batch_{number}.bin").write_bytes(records.numpy().tobytes())
    (folder / "test_batch.bin").write_bytes((folder / "data_batch_1.bin").read_bytes()[: 3073 * 100])
    return folder.parent


def tensors(path):
    """The tensors of a safetensors file."""
    kinds = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8, "BF16": torch.bfloat16}
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        first, end = (8 + length + offset for offset in entry["data_offsets"])
        if end > first and entry["dtype"] in kinds:
            found[name] = torch.frombuffer(bytearray(data[first:end]), dtype=kinds[entry["dtype"]]).view(entry["shape"])
    return found


def relative_difference(pair):
    """Of two lists of tensors, as if each were one vector."""
    first, second = (torch.cat([tensor.detach().double().flatten().cpu() for tensor in values]) for values in pair)
    return ((first - second).norm() / first.norm()).item()


def pytorch_gradient_difference(device, images):
    """Between the CPU and the device, of the gradient of a ResNet-18 for small images in PyTorch, TF32 off."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    model = resnet("resnet18")
    model.conv1, model.maxpool = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False), torch.nn.Identity()
    model.head = torch.nn.Linear(model.features, 3)
    labels = torch.arange(images) % 3
    inputs = torch.randn(images, 3, 32, 32) + torch.eye(3)[labels][:, :, None, None]
    gradients = []
    for where in ("cpu", device):
        network = copy.deepcopy(model).to(where, memory_format=torch.channels_last).train()
        torch.nn.functional.cross_entropy(network.head(network(inputs.to(where))), labels.to(where)).backward()
        gradients.append([weight.grad for weight in network.parameters()])
    return relative_difference(gradients)


class Session:
    def __init__(self, args):
        self.device, self.out = args.device, Path(args.out).resolve()
        self.on_gpu, self.rounds = args.device.startswith("cuda"), args.rounds
        self.deadline = time.monotonic() + args.seconds
        self.work = self.out / "work"
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.checks, self.rows = [], []
        # What a CPU can compute in the same time.
        self.images = image_folder(self.work / "images", 48 if self.on_gpu else 8)
        self.short = ["--epochs", 2, "--batch-size", 32 if self.on_gpu else 8]
        libraries = Path(torch.__file__).parent / "lib"
        nvidia = sorted(str(path) for path in (Path(torch.__file__).parent.parent / "nvidia").glob("*/lib"))
        path = ":".join([str(libraries), *nvidia, os.environ.get("LD_LIBRARY_PATH", "")]).strip(":")
        self.environment = {**os.environ, "LD_LIBRARY_PATH": path, "NO_COLOR": "1"}

    def left(self):
        return self.deadline - time.monotonic()

    def coretune(self, *arguments, status=0, **environment):
        command = [str(PROGRAM), *map(str, arguments)]
        done = subprocess.run(command, env={**self.environment, **environment}, capture_output=True, text=True,
                              timeout=max(self.left(), 5), cwd=self.work)
        if done.returncode != status:
            raise RuntimeError(f"{' '.join(command[1:])}: exit {done.returncode}\n{done.stderr.strip()[-800:]}")
        return done.stdout

    def fit(self, name, *more, device=None, amp="off", images=None, **environment):
        folder = self.work / name
        self.coretune("fit", "--pretrained-path", ENCODER, "--data-dir", images or self.images, "--output", folder, "--device",
                      device or self.device, "--amp", amp, "--no-probe", "--data-check", "off", "--threads", 2, "--img-size", 32,
                      "--seed", 3, "--log-every", 1, *more, **environment)
        return folder

    def check(self, name, work):
        """Runs a check; it returns a note, or (ok, note)."""
        if self.left() < 10:
            self.checks.append({"check": name, "ok": None, "note": "no time left"})
            return
        started = time.monotonic()
        try:
            result = work()
            ok, note = result if isinstance(result, tuple) else (True, result)
        except Exception as error:  # noqa: BLE001: a check that fails is a line of the result
            traceback.print_exc()
            ok, note = False, str(error)
        entry = {"check": name, "ok": ok, "note": note, "seconds": round(time.monotonic() - started, 1)}
        self.checks.append(entry)
        print(f"{'ok  ' if ok else 'FAIL'} {name}: {note}", flush=True)

    # The checks.

    def commands(self):
        self.check("fit", lambda: f"exit 0, {self.losses(self.fit('fit', *self.short))}")
        run = self.work / "fit"
        if self.on_gpu:
            self.check("fit in bf16", lambda: self.losses(self.fit("bf16", *self.short, amp="bf16")))
        self.check("evaluate", lambda: self.first_line(self.coretune("evaluate", run, "--device", self.device)))
        self.check("predict", lambda: self.first_line(self.coretune("predict", run, self.images / "test" / "red", "--device",
                                                                    self.device)))
        self.check("export", lambda: self.export(run))
        self.check("fit, segmentation", self.segmentation)
        self.check("fit, 2 ranks", lambda: self.losses(self.fit("ranks", "--ranks", 2, "--epochs", 2, "--batch-size", 6)))
        for method in ("moco-v2", "simclr"):
            self.check(f"pretrain, {method}", lambda: self.pretrain(method))

    def segmentation(self):
        images, folder = mask_folder(self.work / "masks", 8), self.work / "segmentation"
        self.coretune("fit", "--task", "segmentation", "--pretrained-path", ENCODER, "--data-dir", images, "--output", folder,
                      "--device", self.device, "--amp", "bf16" if self.on_gpu else "off", "--no-probe", "--data-check", "off",
                      "--epochs", 2, "--batch-size", 4, "--crop", 32)
        self.coretune("predict", folder, images / "test", "--device", self.device, "--output", self.work / "maps")
        return self.losses(folder)

    def losses(self, folder):
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        values = [record["loss"] for record in records if "loss" in record]
        return f"loss {values[0]:.4f} to {values[-1]:.4f}"

    def first_line(self, text):
        return text.strip().splitlines()[0] if text.strip() else "no output"

    def export(self, run):
        target = self.work / "model.safetensors"
        self.coretune("export", run, "--output", target)
        return f"{target.stat().st_size} bytes"

    def pretrain(self, method):
        folder = self.work / method
        self.coretune("pretrain", "--data-dir", self.images, "--output", folder, "--device", self.device, "--method", method,
                      "--width", 0.25, "--epochs", 1, "--batch-size", 32 if self.on_gpu else 8, "--img-size", 32, "--data-check", "off", "--amp", "off")
        return self.losses(folder)

    def agreement(self):
        """A step on the CPU and on the device: loss, weights, and the direction of the optimizer, which is the gradient.

        ReLU jumps where rounding differs, and convolutions of a GPU sum in another order, so no fixed tolerance fits the
        gradient: it may differ TIMES as much as PyTorch's does between the same two devices.
        """
        per_class = 16 if self.on_gpu else 4
        images = image_folder(self.work / "one-step", per_class)

        def run(name, device, **environment):
            folder = self.fit(name, "--epochs", 1, "--batch-size", 3 * per_class, "--lr", 0.1, "--warmup-epochs", 0, device=device,
                              images=images, **environment)
            records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            return next(record["loss"] for record in records if "loss" in record), tensors(folder / "checkpoints" / "last.safetensors")

        def compare():
            loss, ours = run("on-cpu", "cpu")
            # TF32 rounds the inputs of products to 10 bits.
            device_loss, theirs = run("on-device", self.device, NVIDIA_TF32_OVERRIDE="0")
            names = [name for name, value in ours.items() if value.is_floating_point()]
            gradient, weights = (
                relative_difference([values[name] for name in names if name.startswith("optimizer.") == of_optimizer]
                                    for values in (ours, theirs)) for of_optimizer in (True, False))
            peer = pytorch_gradient_difference(self.device, 3 * per_class)
            of_loss = abs(device_loss - loss) / abs(loss)
            note = (f"relative difference after a step: loss {of_loss:.1e}, weights {weights:.1e}, gradient {gradient:.1e} "
                    f"(PyTorch's gradient: {peer:.1e})")
            return of_loss < TOLERANCE and weights < 10 * TOLERANCE and gradient <= max(TIMES * peer, TOLERANCE), note
        self.check("loss, weights and gradient as on the CPU (f32, TF32 off)", compare)

    def determinism(self):
        def compare():
            folders = [self.fit(f"again-{number}", *self.short) for number in (1, 2)]
            first, second = (tensors(folder / "checkpoints" / "last.safetensors") for folder in folders)
            differ = [name for name in first if not torch.equal(first[name], second[name])]
            return f"{len(differ)} of {len(first)} tensors of two runs differ in some bit"
        self.check("determinism", compare)

    def resume(self):
        def stop_and_resume():
            settings = ["--epochs", 60 if self.on_gpu else 4, "--batch-size", 16 if self.on_gpu else 6]
            folder = self.work / "stopped"
            command = [str(PROGRAM), "fit", "--pretrained-path", ENCODER, "--data-dir", self.images, "--output", folder, "--device",
                       self.device, "--amp", "off", "--no-probe", "--data-check", "off", "--threads", "2", "--img-size", "32",
                       "--log-every", "1", *settings]
            with open(self.work / "stopped.log", "w") as log:
                process = subprocess.Popen(list(map(str, command)), env=self.environment, stdout=log, stderr=log, cwd=self.work)
            metrics = folder / "metrics.jsonl"
            while process.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 5):
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=60)
            made = len(metrics.read_text().splitlines())
            if status != 143:
                return False, f"SIGTERM gave exit {status}: {(self.work / 'stopped.log').read_text()[-300:]}"
            self.coretune("fit", "--resume", "--output", folder)
            return f"stopped with exit 143 after {made} lines of metrics, resumed to the end"
        self.check("stop by SIGTERM and resume", stop_and_resume)

    def waiting(self):
        thousands, batch = (100, 1024) if self.on_gpu else (0.1, 16)

        def pretrain():
            images, folder = cifar_folder(self.work / "cifar", thousands), self.work / "waiting"
            self.coretune("pretrain", "--data-dir", images, "--output", folder, "--device", self.device, "--method", "simclr",
                          "--model", "resnet18", "--width", 1.0 if self.on_gpu else 0.125, "--epochs", 2, "--batch-size", batch,
                          "--img-size", 32, "--data-check", "off", "--amp", "bf16" if self.on_gpu else "off", "--log-every", 10 if self.on_gpu else 1)
            records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            steps = [record for record in records if "data_wait_share" in record]
            share = statistics.median(record["data_wait_share"] for record in steps)
            speed = statistics.median(record["images_per_second"] for record in steps)
            self.rows.append({"case": f"SimCLR, ResNet-18, 32, batch {batch}, {int(1000 * thousands):,} images",
                              "coretune": round(speed), "unit": "pairs/s", "waiting": round(share, 3)})
            return f"waiting {100 * share:.0f} % at {speed:.0f} pairs/s"
        self.check("waiting for images", pretrain)

    def speed(self):
        if self.on_gpu:
            amp = "bf16"
            cases = [("resnet50", 224, 128, "core-tuning", False), ("resnet50", 224, 128, "cross-entropy", False),
                     ("resnet18", 32, 256, "core-tuning", False), ("resnet18", 32, 256, "core-tuning", True)]
        else:
            amp = "off"
            cases = [("resnet18", 32, 4, "core-tuning", False)]
        for case in cases:
            self.check(f"speed: {case[0]}, {case[1]}, {case[2]}, {case[3]}{', compiled' if case[4] else ''}",
                       lambda case=case: self.beside_pytorch(amp, *case))

    def beside_pytorch(self, amp, model, size, batch, method, compiled):
        ours, theirs = [], []
        steps = 30 if self.on_gpu else 1
        step = [sys.executable, HERE / "step.py", "--model", model, "--size", size, "--batch", batch, "--device", self.device,
                "--precision", "bf16" if amp == "bf16" else "f32", "--fused", "--steps", steps, "--objective",
                method, *(["--small-stem"] if size <= 64 else []), *(["--compile"] if compiled else [])]
        for _ in range(1 if compiled or not self.on_gpu else self.rounds):
            if ours and self.left() < 40:
                break
            report = json.loads(self.coretune("bench", "--model", model, "--img-size", size, "--batch-size", batch, "--method", method,
                                              "--device", self.device, "--amp", amp, "--steps", steps, "--json"))
            ours.append(report["batches"][0])
            done = subprocess.run(list(map(str, step)), capture_output=True, text=True, timeout=max(self.left(), 5))
            if done.returncode != 0:
                raise RuntimeError(done.stderr.strip()[-400:])
            theirs.append(json.loads(done.stdout.strip().splitlines()[-1])["images_per_second"])
        us, them = statistics.median(timing["images_per_second"] for timing in ours), statistics.median(theirs)
        row = {"case": f"{model}, {size}, batch {batch}, {method}", "coretune": round(us), "unit": "images/s",
               "pytorch": round(them), "pytorch_mode": "compiled" if compiled else "eager", "ratio": round(us / them, 3),
               "phases": ours[-1]["phases"], "transfers": ours[-1]["transfers"], "rounds": len(ours)}
        self.rows.append(row)
        return f"{us:.0f} images/s, PyTorch {them:.0f} ({row['pytorch_mode']}), ratio {row['ratio']}"

    def write(self):
        name = torch.cuda.get_device_name() if self.on_gpu else "CPU"
        results = {"device": name, "torch": torch.__version__, "cores": os.cpu_count(), "checks": self.checks, "table": self.rows}
        (self.out / "results.json").write_text(json.dumps(results, indent=1))
        lines = [f"{name}, {os.cpu_count()} cores, torch {torch.__version__}", "", "| check | result | |", "|---|---|---|"]
        words = {True: "ok", False: "failed", None: "not run"}
        lines += [f"| {entry['check']} | {words[entry['ok']]} | {str(entry['note']).splitlines()[0]} |" for entry in self.checks]
        lines += ["", "| case | coretune | PyTorch | ratio | waiting |", "|---|---|---|---|---|"]
        for row in self.rows:
            peer = f"{row['pytorch']} ({row['pytorch_mode']})" if "pytorch" in row else ""
            lines.append(f"| {row['case']} | {row['coretune']} {row['unit']} | {peer} | {row.get('ratio', '')} | {row.get('waiting', '')} |")
        (self.out / "results.md").write_text("\n".join(lines) + "\n")
        print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", default=os.environ.get("OUT", "results"))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side [default: %(default)s]")
    parser.add_argument("--only", help="names of groups of checks, with commas")
    args = parser.parse_args()
    session = Session(args)
    groups = ["commands", "agreement", "determinism", "resume", "waiting", "speed"]
    wanted = args.only.split(",") if args.only else groups
    for group in groups:
        if group in wanted:
            getattr(session, group)()
    session.write()
    shutil.rmtree(session.work, ignore_errors=True)
    sys.exit(1 if any(entry["ok"] is False for entry in session.checks) else 0)


if __name__ == "__main__":
    main()
