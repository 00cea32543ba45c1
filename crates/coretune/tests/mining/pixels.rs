use coretune::mining::{MapLabels, PixelDraws, SampledPixels, sample_pixels};
use tch::{Kind, Tensor};

/// One map of 10 positions: six of class 2, two of class 0, two ignored.
fn labels() -> MapLabels {
    MapLabels { images: 1, positions: 10, labels: vec![2, 2, 255, 0, 2, 2, 0, 2, 255, 2] }
}

fn draws() -> PixelDraws {
    PixelDraws { keys: vec![0.1, 0.2, 0.99, 0.3, 0.9, 0.8, 0.4, 0.7, 0.99, 0.05] }
}

fn sample(wrong: &[i64], per_class: usize) -> SampledPixels {
    let mut table = [false; 10];
    for &position in wrong {
        table[position as usize] = true;
    }
    sample_pixels(&Tensor::from_slice(&table).view([1, 10]), &labels(), &draws(), per_class).unwrap()
}

fn positions(sampled: &SampledPixels) -> Vec<i64> {
    Vec::try_from(&sampled.positions).unwrap()
}

#[test]
fn the_largest_keys_of_each_class_are_taken_and_ignored_positions_never() {
    let sampled = sample(&[], 4);
    assert_eq!(positions(&sampled), [6, 3, 4, 5, 7, 1]);
    assert_eq!(sampled.labels, [0, 0, 2, 2, 2, 2]);
    assert_eq!(sampled.images, [0; 6]);
}

#[test]
fn misclassified_positions_come_first_but_are_at_most_half_unless_they_are_drawn() {
    // All of class 2 but the one with the largest draw are wrong: two of them rise, by their own draws.
    assert_eq!(positions(&sample(&[0, 1, 5, 7, 9], 4))[2..], [5, 7, 4, 1]);
    assert_eq!(positions(&sample(&[0, 9], 4))[2..], [0, 9, 4, 5]);
    // An ignored position is not misclassified, whatever the map says.
    assert_eq!(positions(&sample(&[2, 8, 9], 2)), [6, 3, 9, 4]);
    assert_eq!(positions(&sample(&[9], 1)), [6, 4], "half of 1 is none");
}

#[test]
fn classes_with_few_positions_give_all_of_them_and_a_map_without_labels_none() {
    let every = sample(&[], 100);
    assert_eq!(every.labels, [0, 0, 2, 2, 2, 2, 2, 2]);
    let nothing = MapLabels { images: 1, positions: 10, labels: vec![255; 10] };
    let wrong = Tensor::zeros([1, 10], (Kind::Bool, tch::Device::Cpu));
    let sampled = sample_pixels(&wrong, &nothing, &draws(), 16).unwrap();
    assert!(sampled.labels.is_empty() && sampled.positions.size() == [0]);
}

#[test]
fn draws_depend_on_seed_step_and_image_and_not_on_the_place_in_the_batch() {
    let of = |images: &[usize], draw| PixelDraws::draw(images, 6, draw).keys;
    let both = of(&[3, 7], (1, 2));
    assert_eq!(both[..6], of(&[3], (1, 2)));
    assert_eq!(both[6..], of(&[7], (1, 2)));
    assert!(of(&[3], (1, 3)) != both[..6] && of(&[3], (2, 2)) != both[..6] && of(&[4], (1, 2)) != both[..6]);
    assert!(both.iter().all(|key| (0.0..1.0).contains(key)));
}

#[test]
fn a_position_of_a_map_has_the_label_at_its_centre() {
    // 6 x 8 pixels, each labelled by its place; a map of 2 x 3 positions.
    let masks = Tensor::arange(48, (Kind::Uint8, tch::Device::Cpu)).view([1, 6, 8]);
    let labels = MapLabels::nearest(&masks, (2, 3)).unwrap();
    let place = |row: i64, column: i64| row * 8 + column;
    assert_eq!(labels.labels, [place(1, 1), place(1, 4), place(1, 6), place(4, 1), place(4, 4), place(4, 6)]);
    let same = MapLabels::nearest(&masks, (6, 8)).unwrap();
    assert_eq!(same.labels, (0..48).collect::<Vec<i64>>());
}
