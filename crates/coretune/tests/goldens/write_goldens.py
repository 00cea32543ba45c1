# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy==2.4.6", "safetensors==0.8.0", "torch==2.11.0"]
# ///
"""Writes the golden files: a slow, literal float64 oracle for the formulas of docs/method.md.

    make peers
    .peers/bin/python crates/coretune/tests/goldens/write_goldens.py --out FOLDER --seed 0

Every loss is a plain loop over anchors and pairs, so that it can be read against the formulas line by line. Nothing in
the product depends on this file. A case holds its inputs, outputs and gradients, all float64 (indices int64); the
metadata names the case, the formula and the scalar settings (JSON).

The committed files are those of seed 0. Another seed gives another set of files, so that the program can be checked on
numbers that its authors have never seen: CORETUNE_GOLDENS=FOLDER cargo test golden.

One generator draws the numbers of all cases, one case after the other: a new case goes to the end of `main`, or the files
of the cases behind it change.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)


# --- building blocks ---------------------------------------------------------------------------------

def one_hot(labels, classes):
    out = torch.zeros(len(labels), classes)
    for row, label in enumerate(labels.tolist()):
        out[row, label] = 1.0
    return out


def unit(x):
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)


def cosine_table(features):
    u = unit(features.detach())
    return u @ u.T


def mine(features, labels):
    """M1: hardest positive (lowest cosine, same class), hardest negative (highest cosine, other class).

    An anchor that is alone in its class is its own hardest positive; -1 marks an anchor without negatives.
    """
    table, n = cosine_table(features), len(labels)
    hardest_positive, hardest_negative = [], []
    for i in range(n):
        same = [j for j in range(n) if j != i and labels[j] == labels[i]]
        other = [j for j in range(n) if labels[j] != labels[i]]
        hardest_positive.append(min(same, key=lambda j: (table[i, j].item(), j)) if same else i)
        hardest_negative.append(max(other, key=lambda j: (table[i, j].item(), -j)) if other else -1)
    return torch.tensor(hardest_positive), torch.tensor(hardest_negative)


def hard_positive_mix(features, targets, hp, hn, lam):
    """M2; without a negative the mix is the hardest positive itself."""
    rows, labels = [], []
    for i in range(len(features)):
        if hn[i] < 0:
            rows.append(features[hp[i]])
            labels.append(targets[hp[i]])
        else:
            rows.append(lam[i] * features[hp[i]] + (1 - lam[i]) * features[hn[i]])
            labels.append(lam[i] * targets[hp[i]] + (1 - lam[i]) * targets[hn[i]])
    return torch.stack(rows), torch.stack(labels)


def semi_hard_negative_mix(features, targets, partner, lam):
    """M3; the clip of lam to [0.8, 1] has happened already; without a negative the mix is the anchor."""
    rows, labels = [], []
    for i in range(len(features)):
        if partner[i] < 0:
            rows.append(features[i])
            labels.append(targets[i])
        else:
            rows.append((1 - lam[i]) * features[i] + lam[i] * features[partner[i]])
            labels.append((1 - lam[i]) * targets[i] + lam[i] * targets[partner[i]])
    return torch.stack(rows), torch.stack(labels)


def weighted_contrast(z, anchors, contrast_of, weight_of, temperature, focal):
    """M4/M5: -mean_i [ sum_j w_ij (1-p_ij)^focal log p_ij / sum_j w_ij ] over anchors with sum_j w_ij > 0."""
    total, counted = torch.zeros(()), 0
    for i in anchors:
        members = contrast_of(i)
        weights = {j: weight_of(i, j) for j in members}
        mass = sum(weights.values())
        if not members or float(mass) <= 0.0:
            continue
        logits = torch.stack([z[i] @ z[j] for j in members]) / temperature
        log_p = logits - torch.logsumexp(logits, 0)
        term = torch.zeros(())
        for k, j in enumerate(members):
            if float(weights[j]) > 0.0:
                term = term + weights[j] * (1 - log_p[k].exp()) ** focal * log_p[k]
        total = total - term / mass
        counted += 1
    return total / counted if counted else z.sum() * 0.0


def contrast_own_pairs(z, labels, has_negative, temperature, focal):
    """Pair scheme `own`. z holds 3n rows: originals, hard positives, semi-hard negatives."""
    n = len(labels)

    def contrast_of(i):
        members = [j for j in range(n) if j != i]
        if has_negative[i]:
            members += [n + i, 2 * n + i]
        return members

    def weight_of(i, j):
        if j < n:
            return float(labels[i] == labels[j])
        return 1.0 if j == n + i else 0.0

    return weighted_contrast(z, range(n), contrast_of, weight_of, temperature, focal)


def contrast_soft_labels(z, targets, n, temperature, focal):
    """Pair scheme `soft`: every other row is contrasted, weighted by the overlap of the soft labels."""
    rows = len(z)
    return weighted_contrast(
        z, range(n), lambda i: [j for j in range(rows) if j != i],
        lambda i, j: float(targets[i] @ targets[j]), temperature, focal)


def supervised_contrast(z, labels, temperature, focal=0):
    n = len(labels)
    return weighted_contrast(
        z, range(n), lambda i: [j for j in range(n) if j != i],
        lambda i, j: float(labels[i] == labels[j]), temperature, focal)


def reference_mine(features, labels):
    """R1: what the published script mines. Products with a 0/1 mask, so that a masked entry counts as similarity 0;
    ties go to the lowest index; index 0 as hardest positive is replaced by the anchor."""
    table, n = cosine_table(features), len(labels)
    hardest_positive, hardest_negative = [], []
    for i in range(n):
        positive = [table[i, j].item() if j != i and labels[j] == labels[i] else 0.0 for j in range(n)]
        negative = [table[i, j].item() if labels[j] != labels[i] else 0.0 for j in range(n)]
        j = min(range(n), key=lambda k: (positive[k], k))
        hardest_positive.append(i if j == 0 else j)
        hardest_negative.append(max(range(n), key=lambda k: (negative[k], -k)))
    return torch.tensor(hardest_positive), torch.tensor(hardest_negative)


def reference_contrast(z, targets, temperature):
    """R3: all 3n rows are anchors; positives are the other rows with the same soft label; the focal weight carries
    gradient; each anchor's sum is divided by 3n, the whole by the number of anchors that have a positive."""
    rows, total, counted = len(z), torch.zeros(()), 0
    for i in range(rows):
        others = [j for j in range(rows) if j != i]
        positives = [k for k, j in enumerate(others) if float((targets[i] - targets[j]).abs().max()) < 1e-6]
        if not positives:
            continue
        logits = torch.stack([z[i] @ z[j] for j in others]) / temperature
        log_p = logits - torch.logsumexp(logits, 0)
        total = total - sum((1 - log_p[k].exp()) * log_p[k] for k in positives) / rows
        counted += 1
    return total / counted if counted else z.sum() * 0.0


def soft_cross_entropy(logits, targets):
    """M6."""
    log_p = logits - torch.logsumexp(logits, 1, keepdim=True)
    return -(targets * log_p).sum(1).mean()


# --- cases -------------------------------------------------------------------------------------------

class Writer:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, case, formula, settings, **tensors):
        data = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
        meta = {"case": case, "formula": formula, "settings": json.dumps(settings)}
        save_file(data, str(self.folder / f"{case}.safetensors"), metadata=meta)
        print(f"{case}: " + ", ".join(f"{k}{list(v.shape)}" for k, v in data.items()))


def labels_for(kind, n, classes, g):
    if kind == "one_class":
        return torch.zeros(n, dtype=torch.int64)
    if kind == "all_distinct":
        return torch.arange(n) % max(classes, n)
    labels = torch.randint(0, classes, (n,), generator=g)
    if kind == "singleton":
        labels[labels == labels[0]] = (labels[0] + 1) % classes
        labels[0] = (labels[1] + 1) % classes
        labels[1:][labels[1:] == labels[0]] = labels[1]
    return labels


def core_tuning_case(write, name, g, n, dim, classes, kind="mixed", positive_features=False,
                     temperature=0.07, focal=1, eta=0.3, alpha=1.0, project=8):
    features = torch.randn(n, dim, generator=g)
    if positive_features:
        features = features.relu() + 0.01
    features.requires_grad_(True)
    labels = labels_for(kind, n, classes, g)
    classes = max(classes, int(labels.max()) + 1)
    targets = one_hot(labels, classes)
    hp, hn = mine(features, labels)
    partner = []
    for i in range(n):
        other = [j for j in range(n) if labels[j] != labels[i]]
        partner.append(other[int(torch.randint(0, len(other), (1,), generator=g))] if other else -1)
    partner = torch.tensor(partner)
    beta = torch.distributions.Beta(alpha, alpha)
    torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=g)))
    lam_positive = beta.sample((n,)).double()
    lam_negative = beta.sample((n,)).double().clamp_min(0.8)
    weight = {
        "classifier.weight": torch.randn(classes, dim, generator=g) * 0.3,
        "projection.0.weight": torch.randn(dim, dim, generator=g) * 0.3,
        "projection.0.bias": torch.randn(dim, generator=g) * 0.1,
        "projection.2.weight": torch.randn(project, dim, generator=g) * 0.3,
        "projection.2.bias": torch.randn(project, generator=g) * 0.1,
    }
    for w in weight.values():
        w.requires_grad_(True)
    positive, positive_target = hard_positive_mix(features, targets, hp, hn, lam_positive)
    negative, negative_target = semi_hard_negative_mix(features, targets, partner, lam_negative)
    rows = torch.cat([features, positive, negative])
    soft = torch.cat([targets, positive_target, negative_target])
    hidden = (rows @ weight["projection.0.weight"].T + weight["projection.0.bias"]).relu()
    z = unit(hidden @ weight["projection.2.weight"].T + weight["projection.2.bias"])
    logits = rows @ weight["classifier.weight"].T
    classification = soft_cross_entropy(logits, soft)
    own = contrast_own_pairs(z, labels, (hn >= 0).tolist(), temperature, focal)
    soft_pairs = contrast_soft_labels(z, soft, n, temperature, focal)
    out = {}
    for scheme, contrast in (("own", own), ("soft", soft_pairs)):
        total = classification + eta * contrast
        grads = torch.autograd.grad(total, [features, *weight.values()], retain_graph=True, allow_unused=True)
        out[f"{scheme}.contrastive"] = contrast
        out[f"{scheme}.total"] = total
        for key, grad, source in zip(["features", *weight], grads, [features, *weight.values()]):
            out[f"{scheme}.grad.{key}"] = grad if grad is not None else torch.zeros_like(source)
    write(name, "M1-M7", dict(n=n, dim=dim, classes=classes, temperature=temperature, focal=focal, eta=eta),
          features=features, labels=labels, hardest_positive=hp, hardest_negative=hn, partner=partner,
          lam_positive=lam_positive, lam_negative=lam_negative, rows=rows, soft_targets=soft,
          projections=z, logits=logits, classification=classification, **weight, **out)


def supervised_contrast_case(write, name, g, n, dim, classes, kind, temperature, focal):
    raw = torch.randn(n, dim, generator=g, requires_grad=True)
    labels = labels_for(kind, n, classes, g)
    loss = supervised_contrast(unit(raw), labels, temperature, focal)
    (grad,) = torch.autograd.grad(loss, [raw])
    write(name, "M4/M5", dict(temperature=temperature, focal=focal), features=raw, labels=labels, loss=loss,
          **{"grad.features": grad})


def l2_sp_case(write, g):
    """B2, L2-SP: alpha/2 ||w - w_0||^2 over the pre-trained weights + beta/2 ||head||^2."""
    w, w0 = torch.randn(5, 7, generator=g, requires_grad=True), torch.randn(5, 7, generator=g)
    head = torch.randn(3, 5, generator=g, requires_grad=True)
    loss = 0.5 * 0.01 * ((w - w0) ** 2).sum() + 0.5 * 0.02 * (head**2).sum()
    a, b = torch.autograd.grad(loss, [w, head])
    write("l2_sp", "B2", dict(alpha=0.01, beta=0.02), weight=w, source=w0, head=head, loss=loss,
          **{"grad.weight": a, "grad.head": b})


def delta_case(write, g):
    """B3, DELTA: squared distances of feature maps, channel c weighted by W_c/2 x C/(HW), mean over the batch."""
    now = torch.randn(4, 6, 3, 5, generator=g, requires_grad=True)
    source, channel = torch.randn(4, 6, 3, 5, generator=g), torch.rand(6, generator=g).softmax(0)
    loss = torch.zeros(())
    for c in range(6):
        for b in range(4):
            loss = loss + 0.5 * channel[c] * 6 / (3 * 5) * ((now[b, c] - source[b, c]) ** 2).sum() / 4
    (grad,) = torch.autograd.grad(loss, [now])
    write("delta", "B3", {}, feature_map=now, source_map=source, channel_weight=channel, loss=loss,
          **{"grad.feature_map": grad})


def bss_case(write, g):
    """B4, BSS: the sum of the smallest squared singular values of the features."""
    f = torch.randn(6, 10, generator=g, requires_grad=True)
    s = torch.linalg.svdvals(f)
    loss = 0.001 * (s[-1] ** 2 + s[-2] ** 2)
    (grad,) = torch.autograd.grad(loss, [f])
    write("bss", "B4", dict(weight=0.001, smallest=2), features=f, singular_values=s, loss=loss,
          **{"grad.features": grad})


def bi_tuning_case(write, g, classes=3, keys=4, dim=5, n=6, temperature=0.07):
    """B7, Bi-tuning: contrast of instances and of class weights with a queue of keys for every class."""
    query = torch.randn(n, dim, generator=g, requires_grad=True)
    labels = torch.randint(0, classes, (n,), generator=g)
    own_key = unit(torch.randn(n, dim, generator=g))
    queue = unit(torch.randn(classes * keys, dim, generator=g)).reshape(classes, keys, dim)
    q, total = unit(query), torch.zeros(())
    for i in range(n):
        c = int(labels[i])
        positives = [own_key[i], *queue[c]]
        negatives = [k for d in range(classes) if d != c for k in queue[d]]
        logits = torch.stack([q[i] @ k for k in positives + negatives]) / temperature
        log_p = logits - torch.logsumexp(logits, 0)
        total = total - sum(log_p[: keys + 1]) / (keys + 1)
    contrastive = total / n
    (grad,) = torch.autograd.grad(contrastive, [query])
    write("bi_tuning_instance", "B7", dict(temperature=temperature, keys_per_class=keys), query=query, labels=labels,
          own_key=own_key, queue=queue, loss=contrastive, **{"grad.query": grad})
    feature = torch.randn(n, dim, generator=g, requires_grad=True)
    weight = torch.randn(classes, dim, generator=g)
    f, w, total = unit(feature), unit(weight), torch.zeros(())
    for i in range(n):
        c = int(labels[i])
        samples = [f[i], *queue[c], *[k for d in range(classes) if d != c for k in queue[d]]]
        logits = torch.stack([w[c] @ s for s in samples]) / temperature
        log_p = logits - torch.logsumexp(logits, 0)
        total = total - sum(log_p[: keys + 1]) / (keys + 1)
    category = total / n
    (grad,) = torch.autograd.grad(category, [feature])
    write("bi_tuning_category", "B7", dict(temperature=temperature, keys_per_class=keys), features=feature,
          class_weight=weight, labels=labels, queue=queue, loss=category, **{"grad.features": grad})


def triplet_case(write, g, margin=0.5):
    """B6, triplets of rows of length 1: mean of max(0, d(a, p)^2 - d(a, n)^2 + margin)."""
    raw = torch.randn(9, 5, generator=g, requires_grad=True)
    anchor, positive, negative = unit(raw)[:3], unit(raw)[3:6], unit(raw)[6:]
    terms = [torch.clamp(((anchor[i] - positive[i]) ** 2).sum() - ((anchor[i] - negative[i]) ** 2).sum() + margin, min=0)
             for i in range(3)]
    loss = sum(terms) / 3
    (grad,) = torch.autograd.grad(loss, [raw])
    write("triplet", "B6", dict(margin=margin), features=raw, loss=loss, **{"grad.features": grad})


def procrustes_case(write, g):
    """B9, DR-Tune: the rotation U V^T of the pre-trained features, from the SVD of now^T bank."""
    bank, now = torch.randn(30, 6, generator=g), torch.randn(30, 6, generator=g)
    u, _, vt = torch.linalg.svd(now.T @ bank)
    rotation = u @ vt
    write("dr_tune_rotation", "B9", {}, pretrained=bank, finetuned=now, rotation=rotation, rotated=bank @ rotation.T)


def segmentation_metrics_case(write, g):
    """E2: measures of a confusion matrix, rows the truth."""
    confusion = torch.randint(0, 50, (5, 5), generator=g).double()
    confusion[3] = 0  # a class that never occurs and
    confusion[:, 3] = 0  # is never predicted: left out of the means
    truth, predicted, hit = confusion.sum(1), confusion.sum(0), confusion.diag()
    present = truth > 0
    iou = hit / (truth + predicted - hit).clamp_min(1)
    write("segmentation_metrics", "E2", {}, confusion=confusion,
          pixel_accuracy=hit.sum() / confusion.sum(), mean_pixel_accuracy=(hit / truth.clamp_min(1))[present].mean(),
          mean_iou=iou[present].mean(), frequency_weighted_iou=(truth / truth.sum() * iou).sum())


def feature_geometry_case(write, g):
    """E3."""
    f = unit(torch.randn(24, 8, generator=g))
    labels = torch.arange(24) % 4
    centre = f.mean(0)
    within = between = torch.zeros(())
    for c in range(4):
        members = f[labels == c]
        within = within + ((members - members.mean(0)) ** 2).sum()
        between = between + len(members) * ((members.mean(0) - centre) ** 2).sum()
    same = [(f[i] - f[j]).pow(2).sum() for i in range(24) for j in range(24) if i < j and labels[i] == labels[j]]
    every = [torch.exp(-2 * (f[i] - f[j]).pow(2).sum()) for i in range(24) for j in range(24) if i < j]
    write("feature_geometry", "E3", {}, features=f, labels=labels, within=within / 24, between=between / 24,
          alignment=sum(same) / len(same), uniformity=(sum(every) / len(every)).log())


def reference_case(write, name, g, n, dim, classes, positive_features, temperature=0.07, eta=10.0, project=8):
    """R1-R3, the published script: originals without gradient, rows [originals; negative mixes; hard mixes]."""
    features = torch.randn(n, dim, generator=g)
    if positive_features:
        features = features.relu() + 0.01
    features.requires_grad_(True)
    labels = torch.randint(0, classes, (n,), generator=g)
    targets, (hp, hn) = one_hot(labels, classes), reference_mine(features, labels)
    partner = torch.randperm(n, generator=g)
    lam_positive = torch.rand(n, generator=g)
    lam_negative = torch.rand(n, generator=g).clamp_min(0.8)
    weight = {
        "classifier.weight": torch.randn(classes, dim, generator=g) * 0.3,
        "projection.0.weight": torch.randn(dim, dim, generator=g) * 0.3,
        "projection.0.bias": torch.randn(dim, generator=g) * 0.1,
        "projection.2.weight": torch.randn(project, dim, generator=g) * 0.3,
        "projection.2.bias": torch.randn(project, generator=g) * 0.1,
    }
    for w in weight.values():
        w.requires_grad_(True)
    negative, negative_target = semi_hard_negative_mix(features, targets, partner, lam_negative)
    positive, positive_target = hard_positive_mix(features, targets, hp, hn, lam_positive)
    rows = torch.cat([features.detach(), negative, positive])
    soft = torch.cat([targets, negative_target, positive_target])
    hidden = (rows @ weight["projection.0.weight"].T + weight["projection.0.bias"]).relu()
    z = unit(hidden @ weight["projection.2.weight"].T + weight["projection.2.bias"])
    logits = rows @ weight["classifier.weight"].T
    classification, contrast = soft_cross_entropy(logits, soft), reference_contrast(z, soft, temperature)
    total = classification + eta * contrast
    grads = torch.autograd.grad(total, [features, *weight.values()])
    write(name, "R1-R3", dict(n=n, dim=dim, classes=classes, temperature=temperature, eta=eta),
          features=features, labels=labels, hardest_positive=hp, hardest_negative=hn, partner=partner,
          lam_positive=lam_positive, lam_negative=lam_negative, rows=rows, soft_targets=soft, projections=z,
          logits=logits, classification=classification, contrastive=contrast, total=total, **weight,
          **{f"grad.{key}": grad for key, grad in zip(["features", *weight], grads)})


def mining_ties_case(write, g):
    """M1 with equal rows: ties go to the lowest index."""
    features = torch.randint(-1, 2, (12, 3), generator=g).double()
    features[features.abs().sum(1) == 0] = 1.0
    features[6:9] = features[0:3]
    labels = torch.tensor([0, 1, 2] * 4)
    table = cosine_table(features)
    table = (table * 2**40).round() / 2**40  # equal cosines stay equal in any order of summation
    hp, hn = [], []
    for i in range(12):
        same = [j for j in range(12) if j != i and labels[j] == labels[i]]
        other = [j for j in range(12) if labels[j] != labels[i]]
        hp.append(min(same, key=lambda j: (table[i, j].item(), j)))
        hn.append(max(other, key=lambda j: (table[i, j].item(), -j)))
    write("mining_ties", "M1", {}, cosines=table, labels=labels, hardest_positive=torch.tensor(hp),
          hardest_negative=torch.tensor(hn))


def nearest_neighbours_case(write, g, k=20, temperature=0.07):
    """E7: each of the k nearest training rows (cosine) votes for its class with weight exp(cosine / temperature)."""
    train, test = unit(torch.randn(60, 6, generator=g)), unit(torch.randn(25, 6, generator=g))
    labels = torch.randint(0, 4, (60,), generator=g)
    votes = torch.zeros(25, 4)
    for i in range(25):
        cosine = train @ test[i]
        for j in sorted(range(60), key=lambda j: -cosine[j].item())[:k]:
            votes[i, labels[j]] += (cosine[j] / temperature).exp()
    write("nearest_neighbours", "E7", dict(k=k, temperature=temperature), train=train, labels=labels, test=test,
          votes=votes, predicted=votes.argmax(1))


def calibration_case(write, g, bins=15):
    """E4."""
    logits = torch.randn(200, 5, generator=g) * 2
    labels = torch.randint(0, 5, (200,), generator=g)
    confidence, predicted = logits.softmax(1).max(1)
    error = torch.zeros(())
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = (predicted[inside] == labels[inside]).double().mean() - confidence[inside].mean()
            error = error + inside.double().mean() * gap.abs()
    nll = -(logits.log_softmax(1)[torch.arange(200), labels]).mean()
    write("calibration", "E4", dict(bins=bins), logits=logits, labels=labels, expected_calibration_error=error,
          negative_log_likelihood=nll)


def bilinear(map_, height, width):
    """Logits `[C, h, w]` at every pixel, corners not aligned; a loop over pixels."""
    _, h, w = map_.shape

    def source(place, size, sizes):
        x = max((place + 0.5) * size / sizes - 0.5, 0.0)
        low = min(int(x), size - 1)
        return low, min(low + 1, size - 1), x - low

    rows = []
    for y in range(height):
        top, bottom, v = source(y, h, height)
        for x in range(width):
            left, right, u = source(x, w, width)
            rows.append((1 - v) * ((1 - u) * map_[:, top, left] + u * map_[:, top, right])
                        + v * ((1 - u) * map_[:, bottom, left] + u * map_[:, bottom, right]))
    return torch.stack(rows, 1).reshape(-1, height, width)


def pixel_cross_entropy(maps, masks):
    """The mean over all labelled pixels of all images."""
    total, labelled = maps.sum() * 0.0, 0
    for map_, mask in zip(maps, masks):
        logits = bilinear(map_, *mask.shape)
        for y in range(mask.shape[0]):
            for x in range(mask.shape[1]):
                if mask[y, x] == 255:
                    continue
                total = total - (logits[mask[y, x], y, x] - torch.logsumexp(logits[:, y, x], 0))
                labelled += 1
    return total / labelled


def sampled_positions(logits, masks, keys, most):
    """Of each class of each image the `most` positions with the largest keys; the misclassified ones with the largest
    draws, at most half of `most`, have keys that are 1 larger."""
    n, _, h, w = logits.shape
    rows, labels, images = [], [], []
    for i in range(n):
        height, width = masks[i].shape
        label = {}
        for y in range(h):
            for x in range(w):
                label[y * w + x] = int(masks[i][(2 * y + 1) * height // (2 * h), (2 * x + 1) * width // (2 * w)])
        for c in sorted(set(label.values()) - {255}):
            inside = [p for p in label if label[p] == c]
            wrong = [p for p in inside if int(logits[i, :, p // w, p % w].argmax()) != c]
            wrong = sorted(wrong, key=lambda p: -keys[i, p].item())[: most // 2]
            key = {p: keys[i, p].item() + (1.0 if p in wrong else 0.0) for p in inside}
            for p in sorted(inside, key=lambda p: -key[p])[:most]:
                rows.append(i * h * w + p)
                labels.append(c)
                images.append(i)
    return torch.tensor(rows), torch.tensor(labels), torch.tensor(images)


def pixels_case(write, g, temperature=0.1, eta=0.1, most=4, auxiliary=0.4):
    """Core-tuning and SCL on pixels: the cross-entropy of all labelled pixels, half of that of the mixed rows, contrast of
    sampled positions."""
    n, dim, classes, h, w, height, width = 3, 6, 4, 4, 5, 13, 17
    features = torch.randn(n, dim, h, w, generator=g, requires_grad=True)
    auxiliary_map = torch.randn(n, classes, h, w, generator=g, requires_grad=True)
    coarse = torch.randint(0, classes, (n, 3, 4), generator=g)
    masks = coarse.repeat_interleave(5, 1).repeat_interleave(5, 2)[:, :height, :width].clone()
    masks[torch.rand(n, height, width, generator=g) < 0.2] = 255
    keys = torch.rand(n, h * w, generator=g)
    weight = {
        "classifier.weight": torch.randn(classes, dim, generator=g) * 0.3,
        "classifier.bias": torch.randn(classes, generator=g) * 0.1,
        "projection.0.weight": torch.randn(dim, dim, generator=g) * 0.3,
        "projection.0.bias": torch.randn(dim, generator=g) * 0.1,
        "projection.2.weight": torch.randn(8, dim, generator=g) * 0.3,
        "projection.2.bias": torch.randn(8, generator=g) * 0.1,
    }
    for w_ in weight.values():
        w_.requires_grad_(True)

    def classify(rows):
        return rows @ weight["classifier.weight"].T + weight["classifier.bias"]

    def project(rows):
        hidden = (rows @ weight["projection.0.weight"].T + weight["projection.0.bias"]).relu()
        return unit(hidden @ weight["projection.2.weight"].T + weight["projection.2.bias"])

    every = features.permute(0, 2, 3, 1).reshape(-1, dim)
    logits = classify(every).reshape(n, h, w, classes).permute(0, 3, 1, 2)
    dense = pixel_cross_entropy(logits, masks) + auxiliary * pixel_cross_entropy(auxiliary_map, masks)
    positions, labels, images = sampled_positions(logits.detach(), masks, keys, most)
    rows, targets, m = every[positions], one_hot(labels, classes), len(positions)
    hp, hn = mine(rows, labels)
    partner = []
    for i in range(m):
        other = [j for j in range(m) if labels[j] != labels[i]]
        partner.append(other[int(torch.randint(0, len(other), (1,), generator=g))])
    lam_positive = torch.rand(m, generator=g)
    lam_negative = torch.rand(m, generator=g).clamp_min(0.8)
    partner = torch.tensor(partner)
    positive, positive_target = hard_positive_mix(rows, targets, hp, hn, lam_positive)
    negative, negative_target = semi_hard_negative_mix(rows, targets, partner, lam_negative)
    mixed = soft_cross_entropy(classify(torch.cat([positive, negative])),
                               torch.cat([positive_target, negative_target]))
    own = contrast_own_pairs(project(torch.cat([rows, positive, negative])), labels, (hn >= 0).tolist(),
                             temperature, 1)
    supervised = supervised_contrast(project(rows), labels, temperature)
    paired = [i for i in range(m) if int((labels == labels[i]).sum()) > 1]
    elsewhere = torch.tensor(sum(float(images[hp[i]] != images[i]) for i in paired) / len(paired))
    draws = dict(lam_positive=lam_positive, lam_negative=lam_negative, partner=partner)
    out = {}
    for method, total in (("core_tuning", dense + 0.5 * mixed + eta * own), ("scl", dense + eta * supervised)):
        out[f"{method}.total"] = total
        leaves = dict(features=features, auxiliary=auxiliary_map, **weight)
        grads = torch.autograd.grad(total, list(leaves.values()), retain_graph=True, allow_unused=True)
        for (key, leaf), grad in zip(leaves.items(), grads):
            out[f"{method}.grad.{key}"] = grad if grad is not None else torch.zeros_like(leaf)
    write("pixels", "Core-tuning on pixels", dict(temperature=temperature, eta=eta, per_class=most, auxiliary=auxiliary),
          features=features, auxiliary=auxiliary_map, masks=masks.to(torch.uint8).reshape(-1), keys=keys.reshape(-1),
          positions=positions, labels=labels, images=images, dense=dense, mixed=mixed, contrastive=own,
          supervised=supervised, elsewhere=elsewhere, **draws, **weight, **out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    g = torch.Generator().manual_seed(args.seed)
    write = Writer(args.out)
    core_tuning_case(write, "core_tuning_small", g, 6, 5, 3)
    core_tuning_case(write, "core_tuning_batch", g, 24, 16, 4)
    core_tuning_case(write, "core_tuning_relu_features", g, 24, 16, 4, positive_features=True)
    core_tuning_case(write, "core_tuning_many_classes", g, 32, 12, 100)
    core_tuning_case(write, "core_tuning_singleton", g, 10, 6, 3, kind="singleton")
    core_tuning_case(write, "core_tuning_all_distinct", g, 8, 6, 8, kind="all_distinct")
    core_tuning_case(write, "core_tuning_one_class", g, 8, 6, 3, kind="one_class")
    core_tuning_case(write, "core_tuning_two_rows", g, 2, 4, 2, kind="all_distinct")
    core_tuning_case(write, "core_tuning_focal_two", g, 16, 8, 4, focal=2, temperature=0.2, eta=1.0, alpha=0.5)
    core_tuning_case(write, "core_tuning_no_focal", g, 16, 8, 4, focal=0, temperature=0.1, eta=10.0)
    supervised_contrast_case(write, "supervised_contrastive", g, 20, 8, 4, "mixed", 0.07, 0)
    supervised_contrast_case(write, "supervised_contrastive_singleton", g, 9, 8, 3, "singleton", 0.07, 0)
    supervised_contrast_case(write, "supervised_contrastive_no_positives", g, 6, 8, 6, "all_distinct", 0.07, 0)
    supervised_contrast_case(write, "focal_contrastive", g, 20, 8, 4, "mixed", 0.07, 1)
    l2_sp_case(write, g)
    delta_case(write, g)
    bss_case(write, g)
    bi_tuning_case(write, g)
    triplet_case(write, g)
    procrustes_case(write, g)
    segmentation_metrics_case(write, g)
    feature_geometry_case(write, g)
    calibration_case(write, g)
    reference_case(write, "reference_pairs", g, 16, 8, 4, positive_features=False)
    reference_case(write, "reference_pairs_relu_features", g, 16, 8, 4, positive_features=True)
    mining_ties_case(write, g)
    nearest_neighbours_case(write, g)
    pixels_case(write, g)


if __name__ == "__main__":
    main()
