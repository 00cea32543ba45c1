import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import paired_effect


def comparison(folder, answers):
    """A folder of `compare` with a run per row and seed; `answers` gives the predicted classes of the images, all of class 0."""
    rows = []
    for number, (name, seeds) in enumerate(answers.items()):
        runs = [f"{number}{seed}" for seed in range(len(seeds))]
        rows.append({"method": name, "seeds": list(range(len(seeds))), "runs": runs})
        for run, predicted in zip(runs, seeds):
            (folder / "runs" / run).mkdir(parents=True)
            table = [f"test,{image},0,{label}" for image, label in enumerate(predicted)] + ["validation,7,0,0"]
            (folder / "runs" / run / "predictions.csv").write_text("\n".join(["split,image,label,predicted", *table]))
    (folder / "table.json").write_text(json.dumps({"rows": rows}))


class PairedEffect(unittest.TestCase):
    def test_means_over_pairs_seeds_and_images(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            comparison(folder, {"a": [[0, 0, 1], [0, 1, 1]], "a:mixed-weight=0": [[1, 1, 1], [0, 0, 1]]})
            found = paired_effect.rows(folder)
            mean, (low, high), of_seeds = paired_effect.effect([(found["a"], found["a:mixed-weight=0"])])
        self.assertAlmostEqual(mean, 100 / 6)
        self.assertEqual([round(value) for value in of_seeds], [67, -33])
        self.assertTrue(low <= mean <= high and low >= 0)

    def test_a_row_that_is_not_there_is_refused(self):
        with tempfile.TemporaryDirectory() as name:
            comparison(Path(name), {"a": [[0], [0]]})
            with mock.patch("sys.argv", ["", name, "a - b"]), contextlib.redirect_stderr(io.StringIO()):
                with self.assertRaisesRegex(SystemExit, "found `a - b`, expected two of these rows"):
                    paired_effect.main()


if __name__ == "__main__":
    unittest.main()
