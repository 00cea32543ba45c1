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

    def test_a_gain_larger_than_chance_is_called_so(self):
        self.assertIn("Core-tuning is 2.0 points above cross-entropy, more than chance", said(0.78, 0.78, 0.80))

    def test_a_small_gain_is_not_called_a_gain(self):
        self.assertIn("0.5 points above cross-entropy, no more than chance", said(0.78, 0.795, 0.80))

    def test_a_loss_is_said_as_plainly(self):
        line = said(0.80, 0.79, 0.76)
        self.assertIn("Core-tuning is 3.0 points below cross-entropy, more than chance", line)
        self.assertIn("Core-tuning is 4.0 points below the linear probe, more than chance", line)

    def test_equal_figures_are_level(self):
        self.assertIn("Core-tuning and cross-entropy are level", said(0.7, 0.8, 0.8))


if __name__ == "__main__":
    unittest.main()
