//! Images that resemble each other, by a perceptual hash: the same photo in another size, compression or brightness.
//!
//! The hash says of 9 x 9 grey pixels which of two neighbours is brighter (`DoubleGradient` of the crate image_hasher).

use image::RgbImage;
use image_hasher::{FilterType, HashAlg, Hasher, HasherConfig};

use super::on_threads::{on_threads, processors};
use super::same_bytes::Place;

/// Bits of a hash.
pub(super) const HASH_BITS: u32 = 144;
/// Bits in which the hashes of two images that resemble each other may differ.
pub(super) const NEAR: u32 = 15;

const BYTES: usize = HASH_BITS as usize / 8;
/// Two hashes that differ in up to 15 bits differ in at most one bit of one of these parts: bit b of every byte is part b,
/// so that each part sees the whole image.
const PARTS: usize = 8;
/// Images with the same part that are compared: more of them show hardly anything.
const MOST_COMPARED: usize = 2000;

pub(super) type Hash = [u8; BYTES];

/// Computes hashes.
pub(super) struct Looks(Hasher);

impl Looks {
    pub(super) fn new() -> Self {
        let config = HasherConfig::new().hash_alg(HashAlg::DoubleGradient).hash_size(16, 16);
        Looks(config.resize_filter(FilterType::Triangle).to_hasher())
    }

    pub(super) fn of(&self, image: &RgbImage) -> Hash {
        let mut hash = [0; BYTES];
        hash.copy_from_slice(self.0.hash_image(image).as_bytes());
        hash
    }
}

/// What is compared of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) place: Place,
    pub(super) content: blake3::Hash,
    pub(super) hash: Hash,
}

/// An image, and of the images before it in a split the one that resembles it most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Likeness {
    pub(super) image: Place,
    pub(super) other: Place,
    pub(super) distance: u32,
}

/// For every image, and every split, the earlier image that resembles it most, if one does. Images that are identical byte
/// for byte are not named again. `looks` are in the order of their places.
pub(super) fn likenesses(looks: &[Look]) -> Vec<Likeness> {
    let tables: Vec<Table> = (0..PARTS).map(|number| Table::of(looks, number)).collect();
    let numbers: Vec<usize> = (0..looks.len()).collect();
    let all = on_threads(&numbers, processors(), |&number| nearest(looks, &tables, number), |_| Vec::new());
    all.concat()
}

fn nearest(looks: &[Look], tables: &[Table], number: usize) -> Vec<Likeness> {
    let own = &looks[number];
    let mut nearest: Vec<(u32, usize)> = Vec::new();
    for (part, table) in tables.iter().enumerate() {
        for other in table.within_one_bit(part_of(&own.hash, part)) {
            let other = other as usize;
            let distance = if other < number { difference(&own.hash, &looks[other].hash) } else { u32::MAX };
            if distance > NEAR || looks[other].content == own.content {
                continue;
            }
            let split = looks[other].place.0;
            match nearest.iter_mut().find(|(_, known)| looks[*known].place.0 == split) {
                Some(known) => *known = (*known).min((distance, other)),
                None => nearest.push((distance, other)),
            }
        }
    }
    let likeness = |(distance, other): (u32, usize)| Likeness { image: own.place, other: looks[other].place, distance };
    nearest.into_iter().map(likeness).collect()
}

fn difference(one: &Hash, other: &Hash) -> u32 {
    let wide = |hash: &Hash| {
        let (first, rest) = hash.split_first_chunk::<16>().expect("18 bytes");
        (u128::from_le_bytes(*first), u16::from_le_bytes([rest[0], rest[1]]))
    };
    let ((first, rest), (other_first, other_rest)) = (wide(one), wide(other));
    (first ^ other_first).count_ones() + (rest ^ other_rest).count_ones()
}

/// Bit `part` of every byte, as a number.
fn part_of(hash: &Hash, part: usize) -> usize {
    hash.iter().fold(0, |number, byte| number << 1 | usize::from(byte >> part & 1))
}

/// The images by one part of their hashes.
struct Table {
    /// Where the images of each value of the part begin in `images`.
    starts: Vec<u32>,
    images: Vec<u32>,
}

impl Table {
    fn of(looks: &[Look], part: usize) -> Self {
        let mut starts = vec![0; (1 << BYTES) + 1];
        for look in looks {
            starts[part_of(&look.hash, part) + 1] += 1;
        }
        for value in 1..starts.len() {
            starts[value] += starts[value - 1];
        }
        let (mut next, mut images) = (starts.clone(), vec![0; looks.len()]);
        for (image, look) in looks.iter().enumerate() {
            let at = &mut next[part_of(&look.hash, part)];
            images[*at as usize] = image as u32;
            *at += 1;
        }
        Table { starts, images }
    }

    /// The images whose part is `value` or differs from it in one bit.
    fn within_one_bit(&self, value: usize) -> impl Iterator<Item = u32> {
        let values = std::iter::once(value).chain((0..BYTES).map(move |bit| value ^ 1 << bit));
        values.flat_map(|value| {
            let images = &self.images[self.starts[value] as usize..self.starts[value + 1] as usize];
            images.iter().copied().take(MOST_COMPARED)
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn all_pairs_up_to_the_distance_are_found_and_no_others() {
        let mut random = stream(1, Purpose::Augmentation, 0, 0);
        let mut hashes: Vec<Hash> = (0..300).map(|_| std::array::from_fn(|_| random.random())).collect();
        for near in 0..200 {
            // Up to 24 bits away from another.
            let mut hash = hashes[near];
            for _ in 0..near % 25 {
                let bit = random.random_range(0..HASH_BITS as usize);
                hash[bit / 8] ^= 1 << (bit % 8);
            }
            hashes.push(hash);
        }
        let content = |index: usize| blake3::hash(&index.to_le_bytes());
        let look = |(index, hash): (usize, &Hash)| {
            let place = if index < 200 { (0, index) } else { (1, index - 200) };
            Look { place, content: content(index), hash: *hash }
        };
        let looks: Vec<Look> = hashes.iter().enumerate().map(look).collect();
        let mut expected = Vec::new();
        for (number, own) in looks.iter().enumerate() {
            for split in 0..2 {
                let others = looks[..number].iter().filter(|other| other.place.0 == split);
                let near = others.map(|other| (difference(&own.hash, &other.hash), other.place)).min();
                if let Some((distance, other)) = near.filter(|(distance, _)| *distance <= NEAR) {
                    expected.push(Likeness { image: own.place, other, distance });
                }
            }
        }
        let mut found = likenesses(&looks);
        found.sort_by_key(|likeness| (likeness.image, likeness.other));
        expected.sort_by_key(|likeness| (likeness.image, likeness.other));
        assert!(expected.len() > 100);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_photo_in_another_size_and_brightness_is_near_and_another_photo_is_not() {
        let scene = |side: u32, brightness: f64, turn: f64| {
            RgbImage::from_fn(side, side, |x, y| {
                let [x, y] = [x, y].map(|value| 6.0 * f64::from(value) / f64::from(side));
                let value = (x * turn).sin() * (y + turn * x).cos();
                image::Rgb([(brightness * (120.0 + 100.0 * value)) as u8; 3])
            })
        };
        let looks = Looks::new();
        let photo = looks.of(&scene(64, 1.0, 1.3));
        assert!(difference(&photo, &looks.of(&scene(48, 0.8, 1.3))) <= NEAR);
        assert!(difference(&photo, &looks.of(&scene(64, 1.0, 2.9))) > 2 * NEAR);
    }
}
