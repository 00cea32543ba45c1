//! Which samples make a batch, for one epoch: lists of positions in a split.

use rand::seq::SliceRandom;

use super::DataError;
use crate::random::{Purpose, Stream, stream};

/// A fresh permutation of `n` samples cut into batches; the last short one is dropped when `drop_last`.
///
/// # Errors
/// [`DataError::BatchTooLarge`] when `drop_last` would leave no batch; [`DataError::Argument`] for a batch of 0.
pub fn shuffle(
    n: usize,
    batch_size: usize,
    seed: u64,
    epoch: u64,
    drop_last: bool,
) -> Result<Vec<Vec<usize>>, DataError> {
    check_positive("batch size", batch_size)?;
    if drop_last && n < batch_size {
        return Err(DataError::BatchTooLarge { asked: batch_size, available: n, unit: "images" });
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut stream(seed, Purpose::Order, epoch, 0));
    let used = if drop_last { n - n % batch_size } else { n };
    Ok(order[..used].chunks(batch_size).map(<[usize]>::to_vec).collect())
}

/// All `n` samples in order; the last batch may be short.
///
/// # Errors
/// [`DataError::Argument`] for a batch of 0.
pub fn sequential(n: usize, batch_size: usize) -> Result<Vec<Vec<usize>>, DataError> {
    check_positive("batch size", batch_size)?;
    let order: Vec<usize> = (0..n).collect();
    Ok(order.chunks(batch_size).map(<[usize]>::to_vec).collect())
}

/// Batches of `classes_per_batch` distinct classes with `images_per_class` images each, grouped by class.
///
/// Classes are dealt from fresh permutations of all classes that have images, so each comes up equally often; the
/// images of a class are dealt from fresh permutations of that class, so a class smaller than `images_per_class`
/// repeats images within a batch. An epoch has floor(n / batch) batches, at least one.
///
/// # Errors
/// [`DataError::BatchTooLarge`] when fewer classes have images; [`DataError::Argument`] for a number of 0.
pub fn balanced(
    labels: &[i64],
    classes_per_batch: usize,
    images_per_class: usize,
    seed: u64,
    epoch: u64,
) -> Result<Vec<Vec<usize>>, DataError> {
    check_positive("classes per batch", classes_per_batch)?;
    check_positive("images per class", images_per_class)?;
    let mut members = std::collections::BTreeMap::<i64, Vec<usize>>::new();
    for (index, &label) in labels.iter().enumerate() {
        members.entry(label).or_default().push(index);
    }
    if members.len() < classes_per_batch {
        return Err(DataError::BatchTooLarge { asked: classes_per_batch, available: members.len(), unit: "classes" });
    }
    let mut stream = stream(seed, Purpose::Order, epoch, 0);
    let mut images: Vec<Deal> = members.into_values().map(Deal::new).collect();
    let mut classes = Deal::new((0..images.len()).collect());
    let batches = (labels.len() / classes_per_batch.saturating_mul(images_per_class)).max(1);
    Ok((0..batches)
        .map(|_| {
            let chosen = classes.take_distinct(classes_per_batch, &mut stream);
            let deal =
                |class: usize| (0..images_per_class).map(|_| images[class].next(&mut stream)).collect::<Vec<_>>();
            chosen.into_iter().flat_map(deal).collect()
        })
        .collect())
}

/// A pack of cards that is shuffled whenever it has been dealt to the end.
struct Deal {
    cards: Vec<usize>,
    dealt: usize,
}

impl Deal {
    fn new(cards: Vec<usize>) -> Self {
        Deal { dealt: cards.len(), cards }
    }

    fn next(&mut self, stream: &mut Stream) -> usize {
        if self.dealt == self.cards.len() {
            self.cards.shuffle(stream);
            self.dealt = 0;
        }
        self.dealt += 1;
        self.cards[self.dealt - 1]
    }

    /// The next `count` cards; one that would come twice (the pack was shuffled in between) changes places with the
    /// next that would not. `count` is at most the number of cards.
    fn take_distinct(&mut self, count: usize, stream: &mut Stream) -> Vec<usize> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let card = self.next(stream);
            let place = self.dealt - 1;
            if !taken.contains(&card) {
                taken.push(card);
            } else if let Some(other) = (place..self.cards.len()).find(|&at| !taken.contains(&self.cards[at])) {
                self.cards.swap(place, other);
                taken.push(self.cards[place]);
            }
        }
        taken
    }
}

fn check_positive(name: &'static str, number: usize) -> Result<(), DataError> {
    if number > 0 {
        return Ok(());
    }
    Err(DataError::Argument { name, expected: "at least 1".to_string(), found: "0".to_string() })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn an_epoch_visits_every_sample_once_in_an_order_of_its_own() {
        let first = shuffle(103, 10, 1, 0, false).unwrap();
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 3]);
        let visited: BTreeSet<usize> = first.iter().flatten().copied().collect();
        assert_eq!(visited, (0..103).collect());
        assert_eq!(first, shuffle(103, 10, 1, 0, false).unwrap());
        assert_ne!(first, shuffle(103, 10, 1, 1, false).unwrap());
        assert_ne!(first, shuffle(103, 10, 2, 0, false).unwrap());
        assert_eq!(shuffle(103, 10, 1, 0, true).unwrap(), first[..10]);
    }

    #[test]
    fn an_epoch_without_a_batch_is_refused() {
        let error = shuffle(9, 10, 0, 0, true).unwrap_err();
        assert_eq!(error.to_string(), "a batch of 10 images cannot be made from 9");
        assert!(shuffle(9, 0, 0, 0, false).is_err() && sequential(9, 0).is_err());
        assert!(balanced(&[0, 0, 1], 3, 1, 0, 0).is_err());
    }

    #[test]
    fn a_balanced_batch_has_distinct_classes_with_equally_many_images() {
        let labels: Vec<i64> = (0..700).map(|i| i % 7).collect();
        for (classes, images) in [(4, 8), (7, 3), (1, 5), (5, 2)] {
            let batches = balanced(&labels, classes, images, 5, 2).unwrap();
            assert_eq!(batches.len(), 700 / (classes * images));
            for batch in &batches {
                let mut counts = BTreeMap::<i64, usize>::new();
                for &index in batch {
                    *counts.entry(labels[index]).or_default() += 1;
                }
                assert_eq!(counts.into_values().collect::<Vec<_>>(), vec![images; classes]);
                assert_eq!(batch.iter().collect::<BTreeSet<_>>().len(), batch.len(), "no image twice in a batch");
            }
        }
        assert_ne!(balanced(&labels, 4, 8, 5, 2).unwrap(), balanced(&labels, 4, 8, 5, 3).unwrap());
    }

    #[test]
    fn balanced_epochs_deal_classes_evenly_and_images_of_a_class_evenly() {
        let labels: Vec<i64> = (0..60).map(|i| i64::from(i >= 10) + i64::from(i >= 40)).collect();
        let batches = balanced(&labels, 2, 3, 0, 0).unwrap();
        let mut times = vec![0; 60];
        batches.iter().flatten().for_each(|&index| times[index] += 1);
        let per_class: Vec<usize> =
            [0..10, 10..40, 40..60].map(|range| times[range].iter().sum::<usize>()).into_iter().collect();
        assert!(per_class.iter().max().unwrap() - per_class.iter().min().unwrap() <= 3, "{per_class:?}");
        for range in [0..10, 10..40, 40..60] {
            let times = &times[range];
            assert!(times.iter().max().unwrap() - times.iter().min().unwrap() <= 1, "{times:?}");
        }
    }
}
