"""The comparison with a stand-in for the program: what is run, what is chosen, what is kept, what the table says."""

import contextlib
import io
import json
import math
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cifar10_simclr  # noqa: E402
import tabulate  # noqa: E402

# Scores rise with lr up to 0.03 and are the same for every eta; each call is noted beside the run folders.
STAND_IN = """#!{python}
import json, pathlib, sys
words = [word for word in sys.argv[2:] if word != "--no-probe"]
flags = dict(zip(words[::2], words[1::2]))
output = pathlib.Path(flags["--output"])
with open(output.parent / "calls.txt", "a") as calls:
    calls.write(output.name + "\\n")
if "{fail}" in output.name:
    sys.exit("failed as told")
lr, seed = float(flags["--lr"]), int(flags["--seed"])
score = min(lr, 0.03) + 0.001 * seed + (0.5 if flags["--method"] == "scl" else 0.4)
output.mkdir()
probe = None if "--no-probe" in sys.argv else dict(knn_top1=0.6, linear_top1=0.65)
test = dict(top1=score, top5=0.9, ece=0.1, ece_calibrated=0.02, within_between=1.5)
summary = dict(best=dict(val_top1=score), test=test, probe=probe, wall_seconds=1, images_per_second=10, versions=dict())
(output / "summary.json").write_text(json.dumps(summary))
"""


class Comparison(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.output = self.folder / "out"

    def compare(self, fail="no such run", only=()):
        program = self.folder / "coretune"
        program.write_text(STAND_IN.format(python=sys.executable, fail=fail))
        program.chmod(0o755)
        argv = ["--coretune", str(program), "--checkpoint", str(program), "--data-dir", str(self.folder),
                "--output", str(self.output), "--jobs", "2"]
        for label in only:
            argv += ["--only", label]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as words:
            return cifar10_simclr.main(argv), words.getvalue()

    def calls(self):
        return (self.output / "calls.txt").read_text().splitlines()

    def comparison(self):
        return json.loads((self.output / "comparison.json").read_text())

    def test_every_method_gets_the_same_search_and_three_seeds_and_ties_go_to_the_smaller_value(self):
        self.assertEqual(self.compare()[0], 0)
        # lr: 6 x 3; eta: 4 x 2 more; seeds: 6 x 2 more; reference: 3
        self.assertEqual(len(self.calls()), 41)
        self.assertEqual(len(set(self.calls())), 41)
        for method in self.comparison()["methods"]:
            self.assertEqual(list(method["runs"]), ["0", "1", "2"])
        chosen = {method["label"]: method["chosen"] for method in self.comparison()["methods"]}
        self.assertEqual(chosen["cross-entropy"], {"lr": 0.03, "eta": None})
        self.assertEqual(chosen["SCL"], {"lr": 0.03, "eta": 0.3})
        self.assertEqual(chosen["Core-tuning reference"], {"lr": 0.03, "eta": 1.0})

    def test_what_is_finished_is_not_run_again(self):
        self.compare(only=["LP-FT"])
        before = len(self.calls())
        self.assertEqual(self.compare(only=["LP-FT"])[0], 0)
        self.assertEqual(len(self.calls()), before)

    def test_a_failure_is_named_and_the_next_start_goes_on(self):
        status, words = self.compare(fail="scl-lr0.1", only=["SCL"])
        self.assertEqual(status, 1)
        self.assertIn("scl-lr0.1-eta1-seed0", words)
        self.assertFalse((self.output / "comparison.json").exists())
        self.assertEqual(self.compare(only=["SCL"])[0], 0)
        self.assertEqual(len(self.calls()), 8)

    def test_an_unfinished_folder_is_run_anew(self):
        self.compare(only=["cross-entropy"])
        folder = self.output / self.comparison()["methods"][0]["runs"]["1"]
        (folder / "summary.json").unlink()
        self.assertEqual(self.compare(only=["cross-entropy"])[0], 0)
        self.assertTrue((folder / "summary.json").exists())

    def test_an_unknown_method_is_refused(self):
        status, words = self.compare(only=["SCl"])
        self.assertEqual(status, 2)
        self.assertIn("cross-entropy", words)

    def test_the_table_shows_spread_and_paired_differences(self):
        self.compare(only=["cross-entropy", "SCL"])
        text = tabulate.tabulate(self.output)
        self.assertIn("| linear probe, frozen |  |  | 65.0, 65.0, 65.0 | 65.0 ± 0.0 |", text)
        self.assertIn("| cross-entropy | 0.03 |  | 43.0, 43.1, 43.2 | 43.1 ± 0.1 | 1.50 ± 0.00 |  |", text)
        self.assertIn("| SCL | 0.03 | 0.3 | 53.0, 53.1, 53.2 | 53.1 ± 0.1 | 1.50 ± 0.00 | +10.0 ± 0.0 |", text)
        self.assertIn("0.01, 1 -> 51.0;  0.03, 1 -> 53.0;  0.1, 1 -> 53.0;  0.03, 0.3 -> 53.0;  0.03, 3 -> 53.0", text)
        self.assertIn("| SCL | 1.50, 1.50, 1.50 | +0.00 ± 0.00 | no spread | 0.100, 0.100, 0.100 | +0.000 ± 0.000 | no spread |", text)
        self.assertIn("| SCL | 0.01 | 1 | 51.0 | 51.0 | 1.50 | 0.100 |", text)
        self.assertIn("| cross-entropy | 0.1 |  | 43.0 | 43.0 | 1.50 | 0.100 |", text)

    def test_the_p_value_is_that_of_students_t(self):
        # closed forms for one and two degrees of freedom; the 97.5 % quantile for ten
        self.assertAlmostEqual(tabulate.two_sided_p(1.0, 1), 0.5, places=6)
        self.assertAlmostEqual(tabulate.two_sided_p(3.0, 2), 1 - 3 / math.sqrt(11), places=6)
        self.assertAlmostEqual(tabulate.two_sided_p(-2.228139, 10), 0.05, places=5)

    def test_a_p_value_is_never_said_to_be_zero(self):
        self.assertEqual([tabulate.in_words(p) for p in (0.5, 0.0123, 0.004, 0.0002)], ["= 0.50", "= 0.01", "= 0.004", "< 0.001"])


if __name__ == "__main__":
    unittest.main()
