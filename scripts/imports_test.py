"""Which imports fail, and which do not."""

import tempfile
import unittest
from pathlib import Path

from imports import code_of, leaves, order_of, problems

PAGE = """
# Architecture

## Order of the modules
A module imports from lines above its own.

    engine, files
    losses
    train

## Decisions
"""


def found(files):
    """The problems of a library of these files."""
    with tempfile.TemporaryDirectory() as folder:
        empty = dict.fromkeys(("engine.rs", "files.rs", "losses.rs", "train/mod.rs"), "")
        for name, text in (empty | files).items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return problems(Path(folder), PAGE)


class Order(unittest.TestCase):
    def test_the_list_of_the_page_gives_the_levels(self):
        self.assertEqual(order_of(PAGE), {"engine": 0, "files": 0, "losses": 1, "train": 2})

    def test_an_import_from_above_is_fine(self):
        self.assertEqual(found({"losses.rs": "use crate::engine::guard;", "train/mod.rs": "use crate::losses::focal;"}), [])

    def test_an_import_from_below_or_beside_fails(self):
        upward = ["upward import: losses.rs imports train/mod.rs"]
        self.assertEqual(found({"losses.rs": "use crate::{engine, train::Step};"}), upward)
        self.assertEqual(found({"losses.rs": "fn f() { crate::train::step() }"}), upward)
        self.assertEqual(found({"files.rs": "use crate::engine;"}), ["upward import: files.rs imports engine.rs"])

    def test_a_module_that_is_not_in_the_list_fails(self):
        self.assertEqual(found({"report.rs": ""}), ["report is not in the list of architecture.md"])


class Circles(unittest.TestCase):
    def test_two_files_that_import_each_other_fail(self):
        files = {"train/mod.rs": "mod a; mod b;", "train/a.rs": "use super::b::B;", "train/b.rs": "use super::a::A;"}
        self.assertEqual(found(files), ["circle of files: train/a.rs -> train/b.rs -> train/a.rs"])

    def test_a_re_export_is_followed_to_the_file_that_defines_the_name(self):
        files = {
            "train/mod.rs": "mod a; mod b; pub use a::{A, Other as Renamed}; pub(crate) use b::B;",
            "train/a.rs": "use super::B;",
            "train/b.rs": "use crate::train::Renamed;",
        }
        self.assertEqual(found(files), ["circle of files: train/a.rs -> train/b.rs -> train/a.rs"])

    def test_a_re_export_alone_is_no_import(self):
        files = {"train/mod.rs": "mod a; pub use a::A; pub struct Plan;", "train/a.rs": "use super::Plan;"}
        self.assertEqual(found(files), [])

    def test_a_folder_whose_own_code_uses_a_file_that_uses_it_fails(self):
        files = {"train/mod.rs": "mod a; use a::A; pub struct Plan;", "train/a.rs": "use super::Plan;"}
        self.assertEqual(found(files), ["circle of files: train/mod.rs -> train/a.rs -> train/mod.rs"])

    def test_comments_strings_and_tests_do_not_count(self):
        text = """
            //! [`crate::train`]
            const HINT: &str = "use crate::train::Step;";
            #[cfg(test)]
            mod tests { use crate::train::Step; fn f() { if true { } } }
        """
        self.assertEqual(found({"losses.rs": text}), [])


class Reading(unittest.TestCase):
    def test_a_tree_is_taken_apart(self):
        paths = [("::".join(path), name) for path, name in leaves("a::{b, c::{d as e, self}, self as f}")]
        self.assertEqual(paths, [("a::b", "b"), ("a::c::d", "e"), ("a::c", "c"), ("a", "f")])

    def test_code_after_a_lifetime_or_a_character_is_kept(self):
        self.assertIn("crate::train", code_of("fn f<'a>(x: &'a str) -> char { '\"'; crate::train::f('x') }"))


if __name__ == "__main__":
    unittest.main()
