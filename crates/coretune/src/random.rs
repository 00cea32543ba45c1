//! Random numbers that depend on what they are for and on nothing else.
//!
//! Every draw comes from a stream named by (seed, purpose, epoch, index). No generator is carried through a run, so
//! there is no state to save: a run resumed anywhere, or with another number of workers, draws the same numbers.

use rand::SeedableRng;
pub use rand_chacha::ChaCha8Rng as Stream;

/// What a stream is drawn for; streams of two purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights; index = number of the parameter.
    Weights = 1,
    /// Order of the samples in an epoch.
    Order = 2,
    /// Augmentation of a sample; index = its position in the split.
    Augmentation = 3,
    /// Mixing coefficients of the hard positives (M2); index = step.
    HardPositiveMix = 4,
    /// Mixing coefficients of the semi-hard negatives (M3); index = step.
    SemiHardNegativeMix = 5,
    /// Partners of the semi-hard negatives (M3); index = step.
    Partner = 6,
    /// Choice of the labelled budget and of the validation split.
    Subset = 7,
    /// Bootstrap intervals.
    Bootstrap = 8,
    /// Images that exports are compared on; index = number of the image.
    ExportCheck = 9,
    /// Images that a report shows.
    Shown = 10,
    /// First keys of `MoCo`'s queue.
    Queue = 11,
    /// Order of the keys in `MoCo`'s shuffled batch norm; index = step.
    ShuffledBatchNorm = 12,
    /// Values that dropout sets to zero; epoch = step, index = image.
    Dropout = 13,
    /// The same in an auxiliary head.
    AuxiliaryDropout = 14,
    /// Keys of a map's positions, of which the largest become rows; epoch = step, index = position of the image in the split.
    Pixels = 15,
    /// Mixup and `CutMix`; index = step.
    ImageMix = 16,
    /// Points of a sweep; index = number of the point.
    Sweep = 17,
    /// Training images of a data set whose authors publish no split; index = number of the class.
    PublishedSplit = 18,
}

/// The stream for (`seed`, `purpose`, `epoch`, `index`).
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> Stream {
    let mut key = [0u8; 32];
    for (slot, value) in key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch, index]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    Stream::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_depends_on_each_of_its_four_names() {
        let draw = |seed, purpose, epoch, index| stream(seed, purpose, epoch, index).next_u64();
        let base = draw(1, Purpose::Order, 2, 3);
        assert_eq!(base, draw(1, Purpose::Order, 2, 3));
        assert_ne!(base, draw(2, Purpose::Order, 2, 3));
        assert_ne!(base, draw(1, Purpose::Partner, 2, 3));
        assert_ne!(base, draw(1, Purpose::Order, 3, 3));
        assert_ne!(base, draw(1, Purpose::Order, 2, 4));
    }
}
