import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

import wise_ft

# Stands in for the program: an average whose run got the weight 0.4, and logits by which the first two images are right.
PROGRAM = """#!/usr/bin/env python3
import json, pathlib, sys
if sys.argv[1] == "average":
    folder = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
    folder.mkdir(parents=True)
    (folder / "average.json").write_text(json.dumps({"chosen": {"weights": [0.6, 0.4]}}))
    (folder / "summary.json").write_text("{}")
else:
    pathlib.Path(sys.argv[sys.argv.index("--logits") + 1]).write_text("image,class,cat,dog\\n0,cat,2,1\\n1,dog,0,3\\n2,cat,0,1\\n")
"""


class WiseFt(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.program = self.folder / "program"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)

    def comparison(self, rows):
        """A folder of `compare`; `rows` gives the name of each row and the predicted classes of the images, all of class 0."""
        for name, predicted in rows.items():
            run = self.folder / "runs" / name
            run.mkdir(parents=True)
            lines = ["split,image,label,predicted", *(f"test,{image},0,{label}" for image, label in enumerate(predicted))]
            (run / "predictions.csv").write_text("\n".join(lines))
        table = [{"method": name, "labels_per_class": 10, "seeds": [0], "runs": [name]} for name in rows]
        (self.folder / "table.json").write_text(json.dumps({"rows": table}))

    def test_rows_from_the_probe_are_interpolated_with_it(self):
        self.comparison({"linear-probe": [0, 1, 1], "lp-ft": [1, 1, 1], "cross-entropy": [0, 0, 0]})
        for _ in range(2):
            lines = list(wise_ft.table(self.program, self.folder, []))
        self.assertEqual(len(lines), 3)
        self.assertEqual([cell.strip() for cell in lines[2].split("|")[1:6]], ["10", "`lp-ft`", "0.0", "66.7", "0.4"])
        self.assertTrue(lines[2].endswith("| +33.3 (+0.0 to +100.0) | +66.7 (+0.0 to +100.0) |"), lines[2])

    def test_a_comparison_without_the_probe_is_refused(self):
        self.comparison({"lp-ft": [0, 0, 0]})
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaisesRegex(SystemExit, "has no row `linear-probe`"):
            list(wise_ft.table(self.program, self.folder, []))


if __name__ == "__main__":
    unittest.main()
