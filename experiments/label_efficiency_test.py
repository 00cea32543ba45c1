"""The label-efficiency curve with a stand-in for the program: what is run for each count, and what tables and figure say."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cifar10_simclr_test  # noqa: E402
import label_efficiency  # noqa: E402
import tabulate_label_efficiency  # noqa: E402


def quietly(main, argv):
    """Exit status, stdout, stderr."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main(argv)
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()


class InAFolder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.output = self.folder / "out"


class Runs(InAFolder):
    def measure(self, *more, fail="no such run", checkpoint=None):
        program = self.folder / "coretune"
        program.write_text(cifar10_simclr_test.STAND_IN.format(python=sys.executable, fail=fail))
        program.chmod(0o755)
        argv = ["--coretune", str(program), "--checkpoint", str(checkpoint or self.folder), "--data-dir", str(self.folder),
                "--output", str(self.output), "--jobs", "2", "--lr", "0.03", "0.1", "--eta", "0.3", *more]
        return quietly(label_efficiency.main, argv)

    def calls(self, count):
        path = self.output / f"{count}-per-class" / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []

    def commands(self, count):
        """The words of each command that was given, from its log."""
        logs = (self.output / f"{count}-per-class" / "logs").iterdir()
        return [log.read_text().splitlines()[0].split() for log in logs]

    def test_every_count_gets_the_same_search_and_three_seeds_in_a_folder_of_its_own(self):
        status, words, _ = self.measure("--per-class", "50", "10")
        self.assertEqual(status, 0)
        # lr: 4 x 2; eta: 2 x 1 more; seeds: 4 x 2 more
        names = {count: sorted(name.rsplit("-", 1)[0] for name in self.calls(count)) for count in (10, 50)}
        self.assertEqual(len(names[10]), 18)
        self.assertEqual(names[10], names[50])
        for count in (10, 50):
            recorded = json.loads((self.output / f"{count}-per-class" / "comparison.json").read_text())
            chosen = {method["label"]: method["chosen"] for method in recorded["methods"]}
            self.assertEqual(list(chosen), label_efficiency.LABELS)
            self.assertEqual(chosen["LP-FT"], {"lr": 0.03, "eta": None})
            self.assertEqual(chosen["Core-tuning own, LP head"], {"lr": 0.03, "eta": 0.3})
            self.assertIn(f"{count} per class [18/18]", words)
        self.assertLess(words.index("10 per class [18/18]"), words.index("50 per class [1/18]"))
        self.assertTrue(words.endswith(f"tabulate_label_efficiency.py {self.output}\n"))

    def test_labels_epochs_and_further_flags_are_as_told(self):
        self.measure("--only", "LP-FT", "--per-class", "10", "500", "--epochs", "500=7", "--", "--img-size", "32")
        for count, validation, epochs in [("10", "10", "60"), ("500", "100", "7")]:
            self.assertEqual(len(self.commands(count)), 4)
            for words in self.commands(count):
                flags = dict(zip(words[3::2], words[4::2]))
                told = [flags[name] for name in ("--per-class", "--val-per-class", "--epochs", "--batch-size", "--img-size")]
                self.assertEqual(told, [count, validation, epochs, "50", "32"])

    def test_what_is_finished_is_not_run_again(self):
        self.measure("--only", "LP-FT", "--per-class", "10")
        before = self.calls(10)
        status, words, _ = self.measure("--only", "LP-FT", "--per-class", "10", "500")
        self.assertEqual(status, 0)
        self.assertEqual(self.calls(10), before)
        self.assertEqual(len(self.calls(500)), 4)
        self.assertIn("was there", words)

    def test_a_failure_is_named_and_the_next_start_goes_on(self):
        status, _, words = self.measure("--only", "LP-FT", "--per-class", "10", "50", fail="lp-ft-lr0.03-seed2")
        self.assertEqual(status, 1)
        self.assertIn("10 per class lp-ft-lr0.03-seed2", words)
        self.assertEqual(self.calls(50), [])
        self.assertFalse((self.output / "10-per-class" / "comparison.json").exists())
        self.assertEqual(self.measure("--only", "LP-FT", "--per-class", "10", "50")[0], 0)
        self.assertEqual(len(self.calls(10)), 5)
        self.assertEqual(len(self.calls(50)), 4)

    def test_ctrl_c_ends_with_130(self):
        with mock.patch("cifar10_simclr.compare", side_effect=KeyboardInterrupt):
            status, _, words = self.measure()
        self.assertEqual(status, 130)
        self.assertIn("start again to go on", words)

    def test_a_count_without_epochs_is_refused_before_anything_starts(self):
        status, _, words = self.measure("--per-class", "10", "20")
        self.assertEqual(status, 2)
        self.assertIn("no epochs for 20 labels per class; add --epochs 20=NUMBER", words)
        self.assertFalse(self.output.exists())

    def test_a_missing_checkpoint_and_a_method_of_another_comparison_are_refused(self):
        status, _, words = self.measure("--only", "SCL", checkpoint=self.folder / "nowhere")
        self.assertEqual(status, 2)
        self.assertIn("nowhere is missing", words)
        self.assertIn("no such method; there are cross-entropy, LP-FT,", words)

    def test_the_checkpoint_must_be_given_and_epochs_are_numbers(self):
        self.assertEqual(quietly(label_efficiency.main, [])[0], 2)
        self.assertEqual(self.measure("--epochs", "10")[0], 2)


class Tables(InAFolder):
    def write(self, count, top1, probe):
        """A finished count; `top1` by method, `probe` of cross-entropy: each over the seeds, in per cent."""
        folder = self.output / f"{count}-per-class"
        methods = [self.write_method(folder, label, figures, probe) for label, figures in top1.items()]
        comparison = {"command": "python3 label_efficiency.py", "fit": f"coretune fit --per-class {count}",
                      "machine": "a machine", "jobs": 2, "threads": 1, "methods": methods}
        (folder / "comparison.json").write_text(json.dumps(comparison))

    def write_method(self, folder, label, figures, probe):
        for seed, value in enumerate(figures):
            run = folder / f"{label}-{seed}"
            run.mkdir(parents=True)
            test = {"top1": value / 100, "ece": 0.1 + 0.01 * seed, "ece_calibrated": 0.02, "within_between": 1.5}
            frozen = {"knn_top1": 0.2, "linear_top1": probe[seed] / 100} if label == "cross-entropy" else None
            (run / "summary.json").write_text(json.dumps({
                "test": test, "probe": frozen, "wall_seconds": 10 * (seed + 1), "images_per_second": 100, "versions": {}}))
        return {"label": label, "flags": f"--method {label}", "chosen": {"lr": 0.03, "eta": None},
                "runs": {str(seed): f"{label}-{seed}" for seed in range(len(figures))}}

    def write_curve(self):
        self.write(50, {"cross-entropy": [60, 61, 62], "LP-FT": [61, 63, 65]}, [59, 60, 61])
        self.write(10, {"cross-entropy": [40, 41, 42], "LP-FT": [42, 42, 45], "Core-tuning own": [39, 40, 41]}, [44, 43, 42])

    def tables(self, *more):
        return quietly(tabulate_label_efficiency.main, [str(self.output), *more])

    def test_rows_are_methods_columns_counts_and_a_count_without_a_method_stays_empty(self):
        self.write_curve()
        _, text, _ = self.tables()
        self.assertTrue(text.startswith(
            "| test top-1 (%), mean ± sd of seeds 0, 1, 2 | 10 labels per class | 50 labels per class |\n"
            "|---|---|---|\n"
            "| linear probe, frozen | 43.0 ± 1.0 | 60.0 ± 1.0 |\n"
            "| cross-entropy | 41.0 ± 1.0 | 61.0 ± 1.0 |\n"
            "| LP-FT | 43.0 ± 1.7 | 63.0 ± 2.0 |\n"
            "| Core-tuning own | 40.0 ± 1.0 |  |\n"), text)

    def test_differences_are_paired_by_seed(self):
        self.write_curve()
        _, text, _ = self.tables()
        # 4, 2, 0 and 2, 1, -3 and, to LP-FT, -1, -2, -3; p in closed form for two degrees of freedom
        probe = "| 10 | linear probe, frozen | +2.0 ± 2.0 | t = 1.73, p = 0.23 | +0.0 ± 2.6 | t = 0.00, p = 1.00 |"
        self.assertIn(probe, text)
        self.assertIn("| 10 | cross-entropy |  |  | -2.0 ± 1.0 | t = -3.46, p = 0.07 |", text)
        self.assertIn("| 50 | LP-FT | +2.0 ± 1.0 | t = 3.46, p = 0.07 |  |  |", text)
        self.assertIn("| 50 | linear probe, frozen | -1.0 ± 0.0 | no spread | -3.0 ± 1.0 | t = -5.20, p = 0.04 |", text)

    def test_settings_and_origin_are_told(self):
        self.write_curve()
        _, text, _ = self.tables()
        self.assertIn("| 10 | LP-FT | 0.03 |  | 0.110 ± 0.010 | 0.020 ± 0.000 | 1.50 ± 0.00 |", text)
        self.assertEqual(text.count("- command: `python3 label_efficiency.py`"), 1)
        run = "- each run with 50 labels per class: `coretune fit --per-class 50 ...`, with the settings above; 20 s a run"
        self.assertIn(run, text)
        self.assertEqual(text.count("- machine: a machine; 2 runs at once with 1 threads each"), 1)

    def test_a_folder_without_a_finished_count_is_refused(self):
        status, _, words = self.tables()
        self.assertEqual(status, 2)
        self.assertIn("no */comparison.json", words)

    def test_every_method_has_a_look_of_its_own(self):
        styles = tabulate_label_efficiency.STYLES
        self.assertEqual(list(styles), [tabulate_label_efficiency.PROBE, *label_efficiency.LABELS])
        for key in ("color", "marker"):
            self.assertEqual(len({style[key] for style in styles.values()}), len(styles))

    def test_a_figure_without_matplotlib_is_refused_with_a_hint(self):
        self.write_curve()
        with mock.patch.dict(sys.modules, {"matplotlib": None}):
            status, _, words = self.tables("--figure", str(self.folder / "curve.svg"))
        self.assertEqual(status, 2)
        self.assertIn("pip install matplotlib", words)

    def test_the_figure_has_its_ticks_at_the_counts_and_is_the_same_each_time(self):
        if not tabulate_label_efficiency.has_matplotlib():
            print("skipped: needs matplotlib", file=sys.stderr)
            self.skipTest("needs matplotlib")
        self.write_curve()
        drawn = []
        for name in ("one.svg", "two.svg"):
            self.assertEqual(self.tables("--figure", str(self.folder / name))[0], 0)
            drawn.append((self.folder / name).read_text(encoding="utf-8"))
        self.assertEqual(drawn[0], drawn[1])
        for words in (">10</text>", ">50</text>", ">LP-FT</text>", ">labels per class</text>"):
            self.assertIn(words, drawn[0])


if __name__ == "__main__":
    unittest.main()
