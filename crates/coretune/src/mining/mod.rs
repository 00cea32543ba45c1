//! Hard pairs in feature space (METHOD M1-M3): which rows are hardest for an anchor, and what is mixed from them; and which
//! positions of a map become rows.

mod coefficients;
mod hardest_pairs;
mod mixing;
mod pixels;

pub(crate) use coefficients::Coefficients;
pub use hardest_pairs::{
    HardestPairs, MinedPairs, MiningRule, cosines, hardest_pairs, mine, mine_by, reference_hardest_pairs,
};
pub(crate) use mixing::mix_with_partner;
pub use mixing::{MixDraws, hard_positives, semi_hard_negatives};
pub use pixels::{MapLabels, PixelDraws, SampledPixels, sample_pixels};
