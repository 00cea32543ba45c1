# /// script
# requires-python = ">=3.11"
# dependencies = ["pycocotools==2.0.11", "numpy==2.4.6"]
# ///
"""Writes fixtures/coco_pycocotools.json: polygons beside the masks that pycocotools makes of them.

    python3 -m venv coco && coco/bin/pip install pycocotools numpy
    coco/bin/python crates/coretune/tests/data/write_coco_fixture.py

Each case has polygons, the compressed run lengths of their union, and its pixels, a text of 0 and 1 for each row.
"""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask

FILE = Path(__file__).parent / "fixtures" / "coco_pycocotools.json"
HEIGHT, WIDTH = 40, 60


def polygon(rng, corners, whole):
    """A star around a centre; it may reach beyond the image, and cross itself."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if rng.random() < 0.8 else rng.uniform(0, 2 * np.pi, corners)
    radius = rng.uniform(3, 22, corners)
    x = rng.uniform(0, WIDTH) + radius * np.cos(angles)
    y = rng.uniform(0, HEIGHT) + radius * np.sin(angles)
    points = np.stack([x, y], axis=1)
    return [float(value) for value in np.round(points, 0 if whole else 2).ravel()]


def main():
    rng = np.random.default_rng(0)
    cases = [[[10.0, 5.0, 30.0, 5.0, 30.0, 20.0, 10.0, 20.0]], [[0.0, 0.0, 60.0, 0.0, 60.0, 40.0, 0.0, 40.0]]]
    for index in range(30):
        cases.append([polygon(rng, int(rng.integers(3, 12)), index % 3 == 0) for _ in range(int(rng.integers(1, 4)))])
    written = []
    for polygons in cases:
        runs = mask.merge(mask.frPyObjects(polygons, HEIGHT, WIDTH))
        pixels = mask.decode(runs)
        rows = ["".join(str(value) for value in row) for row in pixels]
        written.append({"polygons": polygons, "counts": runs["counts"].decode(), "pixels": rows})
    lines = ",\n".join(json.dumps(case) for case in written)
    FILE.write_text(f'{{"width": {WIDTH}, "height": {HEIGHT}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
