import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import paired_effect


def comparison(folder, answers):
    """A folder of `compare` with a run per row and seed; `answers` gives the predicted classes of three images of class 0."""
    rows = [{"method": name, "settings": {"train.lr": "0.1"}, "seeds": [0, 1]} for name in answers]
    (folder / "table.json").write_text(json.dumps({"rows": rows}))
    for number, (name, seeds) in enumerate(answers.items()):
        method, *own = name.split(":")
        section = {"name": method, "mixed_weight": 1.0, **{setting.split("=")[0].replace("-", "_"): float(setting.split("=")[1]) for setting in own}}
        for seed, predicted in enumerate(seeds):
            for lr in (0.1, 0.3):
                run = folder / "runs" / f"{number}{seed}{lr}".replace(".", "")
                run.mkdir(parents=True)
                lines = ["[method]", *(f"{key} = {json.dumps(value)}" for key, value in section.items()), "[train]", f"lr = {lr}", f"seed = {seed}"]
                run.with_suffix(".toml").write_text("\n".join(lines))
                # Runs at another rate are all wrong, so they would show.
                given = predicted if lr == 0.1 else [9, 9, 9]
                table = [f"test,{image},0,{label}" for image, label in enumerate(given)] + ["validation,7,0,0"]
                (run / "predictions.csv").write_text("\n".join(["split,image,label,predicted", *table]))


class PairedEffect(unittest.TestCase):
    def test_means_over_pairs_seeds_and_images_of_the_chosen_runs(self):
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
