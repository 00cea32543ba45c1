use coretune::engine::PairTable;
use coretune::mining::{HardestPairs, MiningRule, cosines, hardest_pairs, mine, mine_by, reference_hardest_pairs};
use coretune::random::{Purpose, stream};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

/// Cosines of normal features `[n, 6]`.
fn table(seed: u64, n: usize) -> Tensor {
    let mut random = stream(seed, Purpose::Weights, 0, 0);
    let values: Vec<f64> = StandardNormal.sample_iter(&mut random).take(6 * n).collect();
    cosines(&Tensor::from_slice(&values).view([n as i64, 6])).unwrap()
}

fn labels(seed: u64, n: usize, classes: i64) -> Vec<i64> {
    let mut random = stream(seed, Purpose::Subset, 0, 0);
    (0..n).map(|_| random.random_range(0..classes)).collect()
}

fn indices(tensor: &Tensor) -> Vec<usize> {
    Vec::<i64>::try_from(tensor).unwrap().into_iter().map(|index| index as usize).collect()
}

/// The index of the smallest value, the first of equal ones.
fn lowest(candidates: impl Iterator<Item = (usize, f64)>) -> Option<usize> {
    candidates.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
}

#[test]
fn the_hardest_pairs_are_those_of_a_loop() {
    // Many classes leave some anchors alone in theirs.
    for (seed, n, classes) in [(0, 24, 4), (1, 24, 20), (2, 2, 2), (3, 9, 1)] {
        let (table, labels) = (table(seed, n), labels(seed, n, classes));
        let cosine = |i: usize, j: usize| table.double_value(&[i as i64, j as i64]);
        let HardestPairs { positive, negative, have_negatives } = hardest_pairs(&table, &labels).unwrap();
        assert_eq!(have_negatives, labels.iter().any(|label| *label != labels[0]));
        for i in 0..n {
            let others = || (0..n).filter(|&j| j != i);
            let of_class = others().filter(|&j| labels[j] == labels[i]);
            let least_similar = lowest(of_class.map(|j| (j, cosine(i, j)))).unwrap_or(i);
            assert_eq!(indices(&positive)[i], least_similar, "anchor {i} of {n}");
            let of_others = others().filter(|&j| labels[j] != labels[i]);
            if let Some(most_similar) = lowest(of_others.map(|j| (j, -cosine(i, j)))) {
                assert_eq!(indices(&negative)[i], most_similar, "anchor {i} of {n}");
            }
        }
    }
}

#[test]
fn in_another_order_the_pairs_are_the_same_images() {
    let (table, labels) = (table(4, 20), labels(4, 20, 3));
    let order: Vec<i64> = (0..20).map(|row| (7 * row + 3) % 20).collect();
    let index = Tensor::from_slice(&order);
    let reordered = table.index_select(0, &index).index_select(1, &index);
    let relabelled: Vec<i64> = order.iter().map(|&row| labels[row as usize]).collect();
    let (before, after) = (hardest_pairs(&table, &labels).unwrap(), hardest_pairs(&reordered, &relabelled).unwrap());
    for (before, after) in [(before.positive, after.positive), (before.negative, after.negative)] {
        let (before, after) = (indices(&before), indices(&after));
        for (row, &image) in order.iter().enumerate() {
            assert_eq!(order[after[row]] as usize, before[image as usize]);
        }
    }
}

/// R1: with positive cosines alone, the lowest entry of the masked table is a 0 outside of the class.
#[test]
fn the_published_script_finds_no_positive_among_positive_cosines() {
    let table = table(5, 12).abs();
    let labels = labels(5, 12, 3);
    let found = indices(&reference_hardest_pairs(&table, &labels).unwrap().positive);
    assert!(found.iter().enumerate().all(|(anchor, &j)| j == anchor || labels[j] != labels[anchor]), "{found:?}");
}

#[test]
fn a_table_of_another_size_is_refused() {
    let error = hardest_pairs(&table(0, 4), &[0, 1, 0]).unwrap_err().to_string();
    assert!(error.contains("cosines"), "{error}");
}

#[test]
fn mining_in_blocks_finds_the_pairs_of_the_whole_table() {
    for (seed, n, classes) in [(0, 24, 4), (1, 24, 20), (2, 2, 2), (3, 9, 1)] {
        let mut random = stream(seed, Purpose::Weights, 0, 1);
        let values: Vec<f64> = StandardNormal.sample_iter(&mut random).take(6 * n).collect();
        let (rows, labels) = (Tensor::from_slice(&values).view([n as i64, 6]), labels(seed, n, classes));
        let table = cosines(&rows).unwrap();
        for rule in [MiningRule::Published, MiningRule::Script] {
            let expected = match rule {
                MiningRule::Published => hardest_pairs(&table, &labels).unwrap(),
                MiningRule::Script => reference_hardest_pairs(&table, &labels).unwrap(),
            };
            let blocks = [1, 5, 24].map(|block| mine_by(PairTable::Blocks(block), &rows, &labels, rule).unwrap());
            for mined in blocks.into_iter().chain([mine(&rows, &labels, rule).unwrap()]) {
                assert_eq!(indices(&mined.pairs.positive), indices(&expected.positive));
                assert_eq!(indices(&mined.pairs.negative), indices(&expected.negative));
                assert_eq!(mined.pairs.have_negatives, expected.have_negatives);
                for (anchor, partner) in indices(&expected.positive).into_iter().enumerate() {
                    let cosine = table.double_value(&[anchor as i64, partner as i64]);
                    assert!((mined.positive_cosines.double_value(&[anchor as i64]) - cosine).abs() < 1e-12);
                }
            }
        }
    }
}
