import unittest

import language


def phrases(findings):
    return [(finding.line, finding.phrase) for finding in findings]


class Phrases(unittest.TestCase):
    def assert_found(self, text, *expected):
        self.assertEqual([finding.phrase for finding in language.in_text(text, lambda _: 1)], list(expected))

    def test_every_phrase_of_the_glossary_is_found(self):
        for text, phrase in [
            ("fit looks at the images", "looks"),
            ("The features are looked at", "looked"),
            ("Have a look", "look"),
            ("a collapse is told at once", "told"),
            ("which is said", "is said"),
            ("it goes on with the run", "goes on"),
            ("a run that was gone on with", "gone on"),
            ("drawn out to the batch", "drawn out"),
            ("the folder is no run", "is no"),
            ("Those are no images", "are no"),
            ("a word that is none", "is none"),
            ("weights that hold no numbers", "no numbers"),
            ("what came was a page", "what came"),
            ("a hint where there is one", "where there is one"),
            ("the place stands in the file", "stands"),
            ("with the same bits", "the same bits"),
            ("not the bits of before", "the bits"),
            ("a share of the images", "share of"),
        ]:
            with self.subTest(text):
                self.assertIn(phrase, [finding.phrase for finding in language.in_text(text, lambda _: 1)])

    def test_other_senses_of_the_words_are_fine(self):
        for text in [
            "there is no such file",
            "There may be no negatives, if there are no images",
            "it is no longer needed and is no larger than that",
            "P stands for the number of classes; the standard deviation; understand",
            "it looks like a zip; look up the name; overlook; a lookup",
            "an interval without 0 is not chance",
            "both share the seed",
            "number 3, and no numbering",
            "32 bits per value",
        ]:
            with self.subTest(text):
                self.assert_found(text)

    def test_a_phrase_may_be_split_over_lines_and_begin_with_a_capital(self):
        found = language.in_markdown("A line.\n\nWhat is measured: Looked\nfor. A share\nof it.\n")
        self.assertEqual(phrases(found), [(3, "Looked"), (4, "share of")])


class Pages(unittest.TestCase):
    def test_code_and_targets_of_links_are_not_read(self):
        page = "Type `look`, see [this](what-is-looked-at.md).\n\n    look\n\n```\nlook\n```\n\n| look |\n"
        self.assertEqual(phrases(language.in_markdown(page)), [(9, "look")])

    def test_comments_of_a_recipe_are_read_and_its_settings_are_not(self):
        self.assertEqual(phrases(language.in_recipe("# a share\n# of it\n\n[look]\n")), [(1, "share of")])


class Code(unittest.TestCase):
    def test_literals_are_read_and_comments_names_and_tests_are_not(self):
        code = """
            // a look
            fn look(look: char) -> bool { look == '"' }
            const A: &str = "one \\
                look";
            const B: &str = r#"a "look" "#;
            #[cfg(test)]
            mod tests { fn f() { g("look") } }
            const C: &str = "a look";
        """
        self.assertEqual(phrases(language.in_literals(code)), [(5, "look"), (6, "look"), (9, "look")])

    def test_short_docs_on_fields_of_errors_are_found(self):
        code = """
/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file.
    #[error("cannot open it")]
    File {
        /// The file.
        path: PathBuf,
        /// Bytes that the header asks for.
        bytes: u64,
    },
}

/// Another.
pub struct Other {
    /// The file.
    pub path: PathBuf,
}
"""
        self.assertEqual(phrases(language.in_error_fields(code)), [(8, "/// The file.")])


if __name__ == "__main__":
    unittest.main()
