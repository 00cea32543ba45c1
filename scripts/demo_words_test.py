"""What the demonstration says at its end, when Core-tuning wins and when it does not."""

import unittest

from demo_words import words


def said(probe, cross_entropy, core_tuning):
    runs = [{"test": {"top1": share}, "probe": {"linear_top1": probe}} for share in (cross_entropy, core_tuning)]
    return words(*runs)


class Words(unittest.TestCase):
    def test_the_three_figures_are_said(self):
        self.assertTrue(
            said(0.781, 0.79, 0.802).startswith(
                "with 200 labels, and 200 more to choose the epoch: "
                "linear probe 78.1 %, cross-entropy 79.0 %, Core-tuning 80.2 % of 10,000 test images;"
            )
        )

    def test_a_gain_is_said(self):
        self.assertIn("2.0 points above cross-entropy and 1.0 points above the linear probe", said(0.79, 0.78, 0.80))

    def test_a_loss_is_said_as_plainly(self):
        self.assertIn("3.0 points below cross-entropy and 4.0 points below the linear probe", said(0.80, 0.79, 0.76))

    def test_what_rounds_to_nothing_is_level(self):
        self.assertIn("level with cross-entropy and 10.0 points above", said(0.7, 0.8, 0.8004))


if __name__ == "__main__":
    unittest.main()
