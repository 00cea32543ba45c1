//! Mining against naive loops, and the random numbers of a mix. `golden_mining_ties` of `tests/goldens` has the ties.

mod draws;
mod hardest_pairs;
