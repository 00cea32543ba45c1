# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy==2.4.6", "safetensors==0.8.0", "torch==2.11.0"]
# ///
"""A slow, literal float64 oracle for contrastive pre-training: SimCLR, MoCo v2, LARS and the measures of collapse.

    make peers
    .peers/bin/python crates/coretune/tests/goldens/pretraining/write_goldens.py --out FOLDER --seed 0

The committed files beside it are those of seed 0; another seed gives another set, which the tests read from the folder
that CORETUNE_PRETRAINING_GOLDENS names. As with the oracle of the method (`../write_goldens.py`), sums are loops that can
be read against the formula, and nothing in the product depends on this file. A case holds its inputs, outputs and gradients (float64, indices int64); the metadata names the
case, the formula below and the scalar settings (JSON).

u = x / max(||x||, 1e-12) is a row scaled to length 1, T the temperature.

P1 NT-Xent (SimCLR, arXiv:2002.05709). 2n rows; rows i and i + n are the two views of one image, j(i) is the other view:
   mean over all 2n anchors i of -log[ exp(u_i.u_j(i) / T) / sum over k != i of exp(u_i.u_k / T) ].
P2 InfoNCE with a queue (MoCo, arXiv:1911.05722; v2 arXiv:2003.04297). Queries q [n, d] and keys k [n, d], both as the
   head puts them out; k has no gradient. Queue [d, K], columns of length 1:
   mean over i of the cross-entropy of [u(q_i).u(k_i), u(q_i).queue_1, ..., u(q_i).queue_K] / T with class 0.
   Top-1: share of the queries whose positive logit exceeds every negative one (a tie is a miss, so that a collapsed
   encoder does not look perfect). Then u(k_i) replaces column (pointer + i) mod K; pointer <- (pointer + n) mod K.
P3 Momentum encoder: every parameter p_k <- m p_k + (1 - m) p_q; buffers (batch-norm statistics) are left alone.
P4 LARS (arXiv:1708.03888, with the weight decay of SimCLR's optimiser), for weights of two or more dimensions:
   g <- gradient + weight_decay w;  trust = eta ||w|| / ||g||, 1 where either norm is 0;
   v <- momentum v + trust g (v starts at 0);  w <- w - learning_rate v.
   Biases and norm parameters (one dimension): g = gradient and trust = 1; they keep the momentum.
   The norm is that of the sum, not ||gradient|| + weight_decay ||w||. The learning rate multiplies at the end, as in
   PyTorch's SGD; SimCLR's own code takes it into v (v <- momentum v + learning_rate trust g; w <- w - v), which is
   another path whenever the rate changes.
P5 Alignment and uniformity (Wang and Isola, arXiv:2005.10242) of rows x and their positives y:
   mean ||u(x_i) - u(y_i)||^2;  log of the mean over i < j of exp(-2 ||u(x_i) - u(x_j)||^2).
   Effective rank (RankMe, arXiv:2210.02885) of x as it is, sigma its min(n, d) singular values:
   exp(-sum_k p_k log p_k), p_k = sigma_k / sum sigma + 1e-7.
   Spread (SimSiam, arXiv:2011.10566): mean over dimensions of the population standard deviation of u(x);
   about 1 / sqrt(d) for directions spread evenly, 0 for one direction.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)


# --- formulas ----------------------------------------------------------------------------------------

def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)


def nt_xent(projections, temperature):
    """P1."""
    rows = len(projections)
    u, total = unit(projections), torch.zeros(())
    for i in range(rows):
        other_view = (i + rows // 2) % rows
        similarity = {k: u[i] @ u[k] / temperature for k in range(rows) if k != i}
        total = total + torch.logsumexp(torch.stack(list(similarity.values())), 0) - similarity[other_view]
    return total / rows


def queue_logits(queries, keys, queue, temperature):
    """P2: [n, 1 + K], the positive first."""
    q, k = unit(queries), unit(keys.detach())
    rows = []
    for i in range(len(q)):
        negatives = [q[i] @ queue[:, column] for column in range(queue.shape[1])]
        rows.append(torch.stack([q[i] @ k[i], *negatives]) / temperature)
    return torch.stack(rows)


def info_nce_queue(queries, keys, queue, temperature):
    """P2: the loss and the top-1 accuracy."""
    total, hits = torch.zeros(()), 0
    for row in queue_logits(queries, keys, queue, temperature):
        total = total + torch.logsumexp(row, 0) - row[0]
        positive, *negatives = row.tolist()
        hits += all(positive > negative for negative in negatives)
    return total / len(queries), torch.tensor(hits / len(queries))


def enqueue(queue, pointer, keys):
    """P2: the queue and the pointer after the keys have replaced the oldest ones."""
    queue, columns = queue.clone(), queue.shape[1]
    for i, key in enumerate(unit(keys.detach())):
        queue[:, (pointer + i) % columns] = key
    return queue, (pointer + len(keys)) % columns


def momentum_update(key, query, momentum):
    """P3, for parameters only."""
    return {name: momentum * key[name] + (1 - momentum) * query[name] for name in key}


def lars_step(parameters, velocities, gradients, learning_rate, momentum, weight_decay, eta):
    """P4: parameters and velocities after one step."""
    moved, pushed = {}, {}
    for name, w in parameters.items():
        g, trust = gradients[name], 1.0
        if w.dim() > 1:
            g = g + weight_decay * w
            w_norm, g_norm = float((w**2).sum().sqrt()), float((g**2).sum().sqrt())
            if w_norm > 0 and g_norm > 0:
                trust = eta * w_norm / g_norm
        pushed[name] = momentum * velocities[name] + trust * g
        moved[name] = w - learning_rate * pushed[name]
    return moved, pushed


def alignment(x, y):
    """P5."""
    a, b = unit(x), unit(y)
    return sum(((a[i] - b[i]) ** 2).sum() for i in range(len(a))) / len(a)


def uniformity(x):
    """P5."""
    u, n = unit(x), len(x)
    pairs = [torch.exp(-2 * ((u[i] - u[j]) ** 2).sum()) for i in range(n) for j in range(i + 1, n)]
    return (sum(pairs) / len(pairs)).log()


def effective_rank(features):
    """P5: the singular values and exp of their entropy."""
    sigma = torch.linalg.svdvals(features)
    p = sigma / sigma.sum() + 1e-7
    return sigma, torch.exp(-sum(p_k * p_k.log() for p_k in p))


def spread(features):
    """P5."""
    u = unit(features)
    deviations = [((column - column.mean()) ** 2).mean().sqrt() for column in u.T]
    return sum(deviations) / len(deviations)


# --- cases -------------------------------------------------------------------------------------------

class Writer:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, case, formula, settings, **tensors):
        tensors = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        metadata = {"case": case, "formula": formula, "settings": json.dumps(settings)}
        save_file(tensors, str(self.folder / f"{case}.safetensors"), metadata=metadata)
        print(f"{case}: " + ", ".join(f"{name}{list(tensor.shape)}" for name, tensor in tensors.items()))


def two_views(g, n, dim, noise):
    """2n rows; rows i and i + n are one point, each with its own noise."""
    points = torch.randn(n, dim, generator=g)
    return torch.cat([points + noise * torch.randn(n, dim, generator=g) for _ in range(2)])


def nt_xent_case(write, name, g, n, dim, temperature, noise=0.7, zero_row=None):
    z = two_views(g, n, dim, noise)
    if zero_row is not None:
        z[zero_row] = 0.0
    z.requires_grad_(True)
    loss = nt_xent(z, temperature)
    (grad,) = torch.autograd.grad(loss, [z])
    out = {"grad.projections": grad}
    if zero_row is not None:
        # The zero row's gradient is of the order 1e12 (1 / 1e-12); the other rows would vanish beside it.
        out["grad.other_rows"] = torch.cat([grad[:zero_row], grad[zero_row + 1:]])
    settings = dict(n=n, dim=dim, temperature=temperature) | ({} if zero_row is None else {"zero_row": zero_row})
    write(name, "P1", settings, projections=z, loss=loss, **out)


def info_nce_queue_case(write, name, g, n, dim, size, pointer, temperature=0.2):
    """Even queries have a near key, odd ones a far key, so that top-1 is neither 0 nor 1."""
    queries = torch.randn(n, dim, generator=g)
    side = torch.tensor([1.0 if i % 2 == 0 else -1.0 for i in range(n)]).unsqueeze(1)
    keys = side * queries + 0.3 * torch.randn(n, dim, generator=g)
    queue = unit(torch.randn(size, dim, generator=g)).T.contiguous()
    queries.requires_grad_(True)
    loss, accuracy = info_nce_queue(queries, keys, queue, temperature)
    (grad,) = torch.autograd.grad(loss, [queries])
    queue_after, pointer_after = enqueue(queue, pointer, keys)
    write(name, "P2", dict(n=n, dim=dim, queue_size=size, temperature=temperature), queries=queries, keys=keys,
          queue=queue, pointer=torch.tensor(pointer), logits=queue_logits(queries, keys, queue, temperature), loss=loss,
          accuracy=accuracy, queue_after=queue_after, pointer_after=torch.tensor(pointer_after),
          **{"grad.queries": grad})


def momentum_encoder_case(write, g, momentum=0.999, steps=2):
    """The query encoder's parameters and buffer differ at every step; the key encoder's buffer stays."""
    def parameters():
        return {"weight": torch.randn(4, 3, generator=g), "bias": torch.randn(4, generator=g)}

    key, buffer = parameters(), torch.randn(4, generator=g)
    tensors = {f"key.{name}": p for name, p in key.items()} | {"key.running_mean": buffer}
    for step in range(1, steps + 1):
        query = parameters()
        key = momentum_update(key, query, momentum)
        tensors |= {f"query.{step}.{name}": p for name, p in query.items()}
        tensors[f"query.{step}.running_mean"] = torch.randn(4, generator=g)
        tensors |= {f"after.{step}.{name}": p for name, p in key.items()}
        tensors[f"after.{step}.running_mean"] = buffer
    write("momentum_encoder", "P3", dict(momentum=momentum, steps=steps), **tensors)


def lars_case(write, name, g, learning_rates, momentum=0.9, weight_decay=0.05, eta=0.02, zero_norms=False):
    """With zero_norms: a weight of zeros at step 1, a weight gradient of zeros at step 2."""
    w = {"weight": torch.randn(4, 3, generator=g), "bias": torch.randn(4, generator=g)}
    if zero_norms:
        w["weight"] = torch.zeros(4, 3)
    v = {key: torch.zeros_like(p) for key, p in w.items()}
    tensors = dict(w) | {"learning_rates": torch.tensor(learning_rates)}
    for step, rate in enumerate(learning_rates, start=1):
        gradients = {key: torch.randn(p.shape, generator=g) for key, p in w.items()}
        if zero_norms and step == 2:
            gradients["weight"] = torch.zeros(4, 3)
        w, v = lars_step(w, v, gradients, rate, momentum, weight_decay, eta)
        for key in w:
            tensors |= {f"gradient.{step}.{key}": gradients[key], f"after.{step}.{key}": w[key],
                        f"velocity.{step}.{key}": v[key]}
    settings = dict(momentum=momentum, weight_decay=weight_decay, eta=eta, steps=len(learning_rates))
    write(name, "P4", settings, **tensors)


def alignment_uniformity_case(write, name, x, y):
    sigma, rank = effective_rank(x)
    write(name, "P5", dict(n=len(x), dim=x.shape[1]), x=x, y=y, alignment=alignment(x, y), uniformity=uniformity(x),
          singular_values=sigma, effective_rank=rank, spread=spread(x))


def alignment_uniformity_cases(write, g):
    x = torch.randn(12, 6, generator=g)
    alignment_uniformity_case(write, "alignment_uniformity", x, x + 0.5 * torch.randn(12, 6, generator=g))
    x = torch.randn(4, 8, generator=g)  # fewer rows than dimensions
    alignment_uniformity_case(write, "alignment_uniformity_few_rows", x, x + 0.5 * torch.randn(4, 8, generator=g))
    x = torch.randn(12, 2, generator=g) @ torch.randn(2, 6, generator=g)  # rank 2
    alignment_uniformity_case(write, "alignment_uniformity_low_rank", x, x + 0.5 * torch.randn(12, 6, generator=g))
    # One direction at several lengths. Halves and powers of 2, so that alignment, uniformity and spread are exactly 0.
    direction = torch.tensor([0.5, -0.5, 0.0, 0.5, 0.0, 0.5])
    lengths = 2.0 ** torch.randint(-2, 3, (8, 1), generator=g)
    alignment_uniformity_case(write, "alignment_uniformity_collapsed", lengths * direction, 2 * lengths * direction)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    g = torch.Generator().manual_seed(args.seed)
    write = Writer(args.out)
    nt_xent_case(write, "nt_xent_small", g, 6, 8, temperature=0.5)
    nt_xent_case(write, "nt_xent_low_temperature", g, 6, 8, temperature=0.07)
    nt_xent_case(write, "nt_xent_two_images", g, 2, 8, temperature=0.5)
    nt_xent_case(write, "nt_xent_equal_views", g, 6, 8, temperature=0.5, noise=0.0)
    nt_xent_case(write, "nt_xent_zero_row", g, 3, 8, temperature=0.5, zero_row=1)
    info_nce_queue_case(write, "info_nce_queue_small", g, 4, 8, 16, pointer=4)
    info_nce_queue_case(write, "info_nce_queue_end", g, 4, 8, 16, pointer=12)
    momentum_encoder_case(write, g)
    lars_case(write, "lars", g, [0.5, 1.0, 0.8, 0.2])
    lars_case(write, "lars_zero_norms", g, [0.5, 1.0, 0.8], weight_decay=0.0, zero_norms=True)
    alignment_uniformity_cases(write, g)


if __name__ == "__main__":
    main()
