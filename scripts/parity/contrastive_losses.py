# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "jax==0.10.2",
#     "lightly==1.6.0",
#     "numpy==2.4.6",
#     "optax==0.2.8",
#     "pytorch-metric-learning==2.9.0",
#     "pytorch-optimizer==4.1.0",
#     "safetensors==0.8.0",
#     "timm==1.0.31",
#     "torch==2.11.0",
#     "torchvision==0.26.0",
# ]
# ///
"""Compares the oracle of contrastive pre-training with what others have published on PyPI.

    uv run scripts/parity/contrastive_losses.py --seed 0

Random inputs go through the oracle (crates/coretune/tests/goldens/pretraining/write_goldens.py) and through lightly,
pytorch-metric-learning, optax, timm and pytorch-optimizer, all in float64. One line per comparison: the largest difference of values and of gradients over all
trials, ||a - b|| / ||b||. Exits 1 where one is above 1e-6.

Lines that begin with `by design` are not judged: they show how far apart the variants are that share a name. Nobody's
LARS on PyPI is P4 as it stands. lightly (from Lightning Bolts), timm and pytorch-optimizer divide by
||gradient|| + weight_decay ||w||, P4 by the norm of the sum; so their weight decay is switched off and the decayed
gradient handed in. optax has the norm of the sum but takes the learning rate into the velocity, as SimCLR's code does;
so it is compared at a constant rate, and its parts are chained anew with the rate at the end.
"""
import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import timm.optim
import torch
from lightly.loss import NTXentLoss
from lightly.loss.hypersphere_loss import HypersphereLoss
from lightly.models.utils import update_momentum
from lightly.utils.debug import std_of_l2_normalized
from lightly.utils.lars import LARS as LightlyLars
from pytorch_metric_learning.losses import NTXentLoss as MetricNTXentLoss
from pytorch_metric_learning.losses import SelfSupervisedLoss
from pytorch_optimizer import LARS as OptimizerLars

sys.path.append(str(Path(__file__).resolve().parents[2] / "crates/coretune/tests/goldens/pretraining"))
import write_goldens as oracle  # noqa: E402

jax.config.update("jax_enable_x64", True)

TOLERANCE = 1e-6
TRIALS = 20


def apart(ours, theirs):
    ours, theirs = (torch.as_tensor(t, dtype=torch.float64) for t in (ours, theirs))
    if ours.shape != theirs.shape or not (ours.isfinite().all() and theirs.isfinite().all()):
        return float("inf")
    return float((ours - theirs).norm() / theirs.norm().clamp_min(1e-12))


class Ledger:
    """The largest differences so far, by comparison and quantity, in the order of their first entry."""

    def __init__(self):
        self.largest = {}

    def note(self, comparison, **pairs):
        entry = self.largest.setdefault(comparison, {})
        for quantity, (ours, theirs) in pairs.items():
            entry[quantity] = max(entry.get(quantity, 0.0), apart(ours, theirs))

    def report(self):
        failed = False
        for comparison, entry in self.largest.items():
            judged = not comparison.startswith("by design")
            above = judged and max(entry.values()) > TOLERANCE
            failed |= above
            figures = ", ".join(f"{quantity} {value:.1e}" for quantity, value in entry.items())
            print(f"{comparison}: {figures}{'  ABOVE ' + format(TOLERANCE, 'g') if above else ''}")
        return failed


def with_gradient(loss_of, leaf):
    leaf = leaf.clone().requires_grad_(True)
    loss = loss_of(leaf)
    (grad,) = torch.autograd.grad(loss, [leaf])
    return loss.detach(), grad


def pick(g, choices):
    return choices[int(torch.randint(0, len(choices), (1,), generator=g))]


# --- losses ------------------------------------------------------------------------------------------

def compare_nt_xent(ledger, g, n, dim, noise, temperature):
    z = oracle.two_views(g, n, dim, noise)
    loss, grad = with_gradient(lambda leaf: oracle.nt_xent(leaf, temperature), z)
    peers = {
        "lightly NTXentLoss": NTXentLoss(temperature),
        "pytorch-metric-learning NTXentLoss": SelfSupervisedLoss(MetricNTXentLoss(temperature)),
    }
    for name, peer in peers.items():
        their_loss, their_grad = with_gradient(lambda leaf: peer(leaf[:n], leaf[n:]), z)
        ledger.note(f"nt_xent, {name}", loss=(loss, their_loss), gradient=(grad, their_grad))


def compare_info_nce_queue(ledger, g, n, dim, batches, temperature):
    size = n * batches  # lightly drops the keys beyond the end; like MoCo we only meet whole batches
    pointer = n * int(torch.randint(0, batches, (1,), generator=g))
    queries = torch.randn(n, dim, generator=g)
    keys = queries + pick(g, [0.3, 1.0, 3.0]) * torch.randn(n, dim, generator=g)
    queue = oracle.unit(torch.randn(size, dim, generator=g)).T.contiguous()
    loss, grad = with_gradient(lambda leaf: oracle.info_nce_queue(leaf, keys, queue, temperature)[0], queries)
    accuracy = oracle.info_nce_queue(queries, keys, queue, temperature)[1]
    queue_after, pointer_after = oracle.enqueue(queue, pointer, keys)

    # With a bank (kept as [K, d], filled here) lightly's positive is the key and its negatives are the bank's alone, in
    # one direction only, which is MoCo's form. It enqueues after the negatives were read.
    peer = NTXentLoss(temperature, memory_bank_size=(size, dim))
    peer.memory_bank.bank = queue.T.clone()
    peer.memory_bank.bank_ptr[0] = pointer
    their_loss, their_grad = with_gradient(lambda leaf: peer(leaf, keys), queries)
    ledger.note("info_nce_queue, lightly NTXentLoss with a memory bank", loss=(loss, their_loss),
                gradient=(grad, their_grad), queue=(queue_after, peer.memory_bank.bank.T),
                pointer=(pointer_after, int(peer.memory_bank.bank_ptr)))

    # pytorch-metric-learning has no such form (CrossBatchMemory enqueues first, then compares); pairs are named.
    reference = torch.cat([keys, queue.T])
    anchor = torch.arange(n)
    pairs = (anchor, anchor, anchor.repeat_interleave(size), n + torch.arange(size).repeat(n))
    peer = MetricNTXentLoss(temperature)
    their_loss, their_grad = with_gradient(
        lambda leaf: peer(leaf, indices_tuple=pairs, ref_emb=reference, ref_labels=torch.arange(n + size)), queries)
    ledger.note("info_nce_queue, pytorch-metric-learning NTXentLoss with named pairs", loss=(loss, their_loss),
                gradient=(grad, their_grad))

    # Written with PyTorch's own cross-entropy, for the accuracy, which neither library has.
    q, k = torch.nn.functional.normalize(queries), torch.nn.functional.normalize(keys)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue], 1) / temperature
    zeros = torch.zeros(n, dtype=torch.int64)
    ledger.note("info_nce_queue, torch cross_entropy and argmax",
                loss=(loss, torch.nn.functional.cross_entropy(logits, zeros)),
                accuracy=(accuracy, (logits.argmax(1) == zeros).double().mean()))


# --- updates -----------------------------------------------------------------------------------------

def compare_momentum_encoder(ledger, g, momentum):
    def network():
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        for tensor in [*net.parameters(), net[1].running_mean]:
            tensor.data = torch.randn(tensor.shape, generator=g)
        return net

    key_net = network()
    key = {name: p.detach().clone() for name, p in key_net.named_parameters()}
    buffers = {name: b.clone() for name, b in key_net.named_buffers()}
    for _ in range(3):
        query_net = network()
        key = oracle.momentum_update(key, dict(query_net.named_parameters()), momentum)
        update_momentum(query_net, key_net, momentum)
    name = "momentum_encoder, lightly update_momentum"
    for parameter, theirs in key_net.named_parameters():
        ledger.note(name, parameters=(key[parameter].detach(), theirs.detach()))
    for buffer, theirs in key_net.named_buffers():
        ledger.note(name, buffers=(buffers[buffer], theirs))


def oracle_lars(start, gradients, rates, settings):
    """The parameters after every step."""
    w, v, path = dict(start), {name: torch.zeros_like(p) for name, p in start.items()}, []
    for given, rate in zip(gradients, rates):
        w, v = oracle.lars_step(w, v, given, rate, **settings)
        path.append(w)
    return path


def torch_path(make, start, gradients, rates, decay_outside):
    """The parameters after every step of a torch optimiser whose groups are [weights, biases]."""
    w = {name: torch.nn.Parameter(p.clone()) for name, p in start.items()}
    optimizer, path = make([w["weight"]], [w["bias"]]), []
    for given, rate in zip(gradients, rates):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for name, p in w.items():
            decay = decay_outside if p.dim() > 1 else 0.0
            p.grad = given[name] + decay * p.detach()
        optimizer.step()
        path.append({name: p.detach().clone() for name, p in w.items()})
    return path


def optax_path(transform, start, gradients):
    w = {name: jax.numpy.asarray(p.numpy()) for name, p in start.items()}
    state, path = transform.init(w), []
    for given in gradients:
        updates, state = transform.update({name: p.numpy() for name, p in given.items()}, state, w)
        w = optax.apply_updates(w, updates)
        path.append({name: torch.from_numpy(np.array(p)) for name, p in w.items()})
    return path


def lars_makers(settings, decay_inside):
    """lightly, timm and pytorch-optimizer with eps 0, so that nothing but the weight decay can differ."""
    momentum, eta = settings["momentum"], settings["eta"]
    decay = settings["weight_decay"] if decay_inside else 0.0

    def lightly(weights, biases):
        # It scales only where weight_decay is not 0: 1e-300 turns the scaling on and decays nothing.
        return LightlyLars([{"params": weights, "weight_decay": decay or 1e-300},
                            {"params": biases, "weight_decay": 0.0}],
                           lr=1.0, momentum=momentum, trust_coefficient=eta, eps=0.0)

    def timm_lars(weights, biases):
        return timm.optim.Lars([{"params": weights, "weight_decay": decay, "always_adapt": True},
                                {"params": biases, "weight_decay": 0.0, "always_adapt": False}],
                               lr=1.0, momentum=momentum, trust_coeff=eta, eps=0.0)

    def pytorch_optimizer(weights, biases):
        return OptimizerLars([{"params": weights}, {"params": biases}], lr=1.0, momentum=momentum,
                             trust_coefficient=eta, weight_decay=decay)

    return {"lightly LARS": lightly, "timm Lars": timm_lars, "pytorch-optimizer LARS": pytorch_optimizer}


def compare_lars(ledger, g, trial):
    zero_norms = trial == 0  # a weight of zeros at step 1, a gradient of zeros at step 2
    settings = dict(momentum=pick(g, [0.0, 0.9]), weight_decay=0.0 if zero_norms else pick(g, [1e-6, 0.01, 0.3]),
                    eta=pick(g, [0.001, 0.02, 1.0]))
    start = {"weight": torch.randn(4, 3, generator=g), "bias": torch.randn(4, generator=g)}
    gradients = [{name: torch.randn(p.shape, generator=g) for name, p in start.items()} for _ in range(6)]
    rates = [0.1, 0.5, 1.0, 0.7, 0.3, 0.05]
    if zero_norms:
        start["weight"] = torch.zeros(4, 3)
        gradients[1]["weight"] = torch.zeros(4, 3)

    def note(comparison, ours, theirs):
        for a, b in zip(ours, theirs):
            ledger.note(comparison, weight=(a["weight"], b["weight"]), bias=(a["bias"], b["bias"]))

    ours = oracle_lars(start, gradients, rates, settings)
    decay = settings["weight_decay"]
    for name, make in lars_makers(settings, decay_inside=False).items():
        note(f"lars, {name} fed the decayed gradient", ours, torch_path(make, start, gradients, rates, decay))
    for name, make in lars_makers(settings, decay_inside=True).items():
        note(f"by design, {name} with its own weight decay", ours, torch_path(make, start, gradients, rates, 0.0))

    def weights_only(parameters):
        return {name: p.ndim > 1 for name, p in parameters.items()}

    def schedule(step):
        return jax.numpy.asarray(rates)[step]

    def published(rate):
        return optax.lars(rate, decay, weight_decay_mask=weights_only, trust_coefficient=settings["eta"], eps=0.0,
                          trust_ratio_mask=weights_only, momentum=settings["momentum"])

    chain = optax.chain(
        optax.add_decayed_weights(decay, mask=weights_only),
        optax.masked(optax.scale_by_trust_ratio(trust_coefficient=settings["eta"]), weights_only),
        optax.trace(decay=settings["momentum"]), optax.scale_by_learning_rate(schedule))
    note("lars, optax's parts with the rate at the end", ours, optax_path(chain, start, gradients))
    constant = oracle_lars(start, gradients, [0.5] * len(rates), settings)
    note("lars, optax.lars at a constant rate", constant, optax_path(published(0.5), start, gradients))
    note("by design, optax.lars at a changing rate", ours, optax_path(published(schedule), start, gradients))


# --- measures ----------------------------------------------------------------------------------------

def compare_measures(ledger, g, n, dim, noise):
    x, y = oracle.two_views(g, n, dim, noise).chunk(2)
    # lightly's loss has uniformity of both views, halved.
    both = oracle.alignment(x, y) + (oracle.uniformity(x) + oracle.uniformity(y)) / 2
    ledger.note("alignment and uniformity, lightly HypersphereLoss",
                alignment=(oracle.alignment(x, y), HypersphereLoss(t=2.0, lam=0.0)(x, y)),
                sum=(both, HypersphereLoss(t=2.0)(x, y)))
    # lightly's deviation is the sample's (n - 1).
    ledger.note("spread, lightly std_of_l2_normalized x sqrt((n - 1) / n)",
                spread=(oracle.spread(x), std_of_l2_normalized(x) * ((n - 1) / n) ** 0.5))
    sigma = np.sqrt(np.linalg.eigvalsh((x @ x.T if n < dim else x.T @ x).numpy()).clip(0))
    p = sigma / sigma.sum() + 1e-7
    ledger.note("effective_rank, numpy eigenvalues of the Gram matrix",
                rank=(oracle.effective_rank(x)[1], np.exp(-(p * np.log(p)).sum())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    g = torch.Generator().manual_seed(args.seed)
    ledger = Ledger()
    for trial in range(TRIALS):
        n, dim = int(torch.randint(2, 9, (1,), generator=g)), int(torch.randint(3, 17, (1,), generator=g))
        noise, temperature = pick(g, [0.0, 0.3, 1.0]), pick(g, [0.07, 0.1, 0.2, 0.5, 1.0])
        compare_nt_xent(ledger, g, n, dim, noise, temperature)
        compare_info_nce_queue(ledger, g, n, dim, pick(g, [1, 2, 4]), temperature)
        compare_momentum_encoder(ledger, g, pick(g, [0.99, 0.999]))
        compare_lars(ledger, g, trial)
        compare_measures(ledger, g, n, dim, pick(g, [0.3, 1.0]))
    return 1 if ledger.report() else 0


if __name__ == "__main__":
    sys.exit(main())
