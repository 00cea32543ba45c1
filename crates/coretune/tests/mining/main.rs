//! Mining against naive loops, the random numbers of a mix, and the sampling of positions. `golden_mining_ties` of `tests/goldens` has the ties.

mod draws;
mod hardest_pairs;
mod pixels;
