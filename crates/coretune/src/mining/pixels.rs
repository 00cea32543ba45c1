use std::collections::BTreeMap;

use rand::RngExt;
use tch::{Kind, Tensor};

use crate::engine::rows::IGNORED;
use crate::engine::{EngineError, guard, shape};
use crate::random::{Purpose, stream};

/// The labels of a map's positions, on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapLabels {
    /// Images.
    pub images: usize,
    /// Positions of a map.
    pub positions: usize,
    /// A class or [`IGNORED`] for each position, row by row, image by image.
    pub labels: Vec<i64>,
}

impl MapLabels {
    /// Labels of maps of `height` x `width` positions from masks u8 `[n, H, W]`: position i of a side takes the pixel
    /// floor((i + 1/2) H / height), the one at its centre where logits are upsampled without aligned corners.
    ///
    /// # Errors
    /// [`EngineError`] for another shape and for exceptions of libtorch.
    pub fn nearest(masks: &Tensor, (height, width): (i64, i64)) -> Result<Self, EngineError> {
        let &[images, rows, columns] = masks.size().as_slice() else {
            let found = masks.size();
            return Err(EngineError::Shape { tensor: "masks", expected: "[images, height, width]".into(), found });
        };
        let labels = guard("taking the labels of a map", || {
            let centres = |from: i64, to: i64| {
                let centres: Vec<i64> = (0..to).map(|place| (2 * place + 1) * from / (2 * to)).collect();
                Tensor::from_slice(&centres).to_device(masks.device())
            };
            let taken = masks.index_select(1, &centres(rows, height)).index_select(2, &centres(columns, width));
            let mut labels = vec![0i64; taken.numel()];
            taken.to_kind(Kind::Int64).contiguous().copy_data(&mut labels, taken.numel());
            labels
        })?;
        Ok(MapLabels { images: images as usize, positions: (height * width) as usize, labels })
    }

    /// Positions of each class in each image that has any, in the order of (image, class).
    fn groups(&self) -> BTreeMap<(usize, i64), usize> {
        let mut groups = BTreeMap::new();
        for (place, &label) in self.labels.iter().enumerate().filter(|(_, label)| **label != IGNORED) {
            *groups.entry((place / self.positions, label)).or_default() += 1;
        }
        groups
    }
}

/// u(seed, step, image, position), uniform in `[0, 1)`: what decides which positions become rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelDraws {
    /// One number for each position, row by row, image by image.
    pub keys: Vec<f64>,
}

impl PixelDraws {
    /// The numbers of one step. `images` are positions in the split, so that the draws of an image do not depend on its
    /// place in the batch.
    pub fn draw(images: &[usize], positions: usize, (seed, step): (u64, u64)) -> Self {
        let of_image = |&image: &usize| {
            let mut random = stream(seed, Purpose::Pixels, step, image as u64);
            (0..positions).map(move |_| random.random::<f64>())
        };
        PixelDraws { keys: images.iter().flat_map(of_image).collect() }
    }
}

/// Positions of maps that become the rows of a step.
#[derive(Debug)]
pub struct SampledPixels {
    /// int64 `[rows]`, on the device of the maps: image x positions + position.
    pub positions: Tensor,
    /// The class of each row; the host knows it without reading the positions.
    pub labels: Vec<i64>,
    /// The image of each row, by its place in the batch.
    pub images: Vec<i64>,
}

impl SampledPixels {
    /// The same positions, with a handle of their own.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        let positions = self.positions.shallow_clone();
        SampledPixels { positions, labels: self.labels.clone(), images: self.images.clone() }
    }
}

/// For each class of each image the positions with the `per_class` largest keys. A key is the position's draw; it is 1
/// larger for the misclassified positions with the largest draws, at most half of `per_class` of them. The others that
/// are misclassified keep their draw. Ignored positions take no part.
///
/// `wrong` is bool `[n, positions]`: whether a position is misclassified. Nothing is read back from its device: how many
/// rows each class of an image has is known from the labels.
///
/// # Errors
/// [`EngineError`] for shapes that do not fit and for exceptions of libtorch.
pub fn sample_pixels(
    wrong: &Tensor,
    labels: &MapLabels,
    draws: &PixelDraws,
    per_class: usize,
) -> Result<SampledPixels, EngineError> {
    let shape = [labels.images as i64, labels.positions as i64];
    shape::exactly("misclassified positions", wrong, &shape)?;
    shape::length("labels of positions", labels.labels.len(), shape[0] * shape[1])?;
    shape::length("keys of positions", draws.keys.len(), shape[0] * shape[1])?;
    guard("sampling positions", || sample(wrong, labels, draws, per_class))
}

/// [`sample_pixels`], its arguments unchecked.
fn sample(wrong: &Tensor, labels: &MapLabels, draws: &PixelDraws, per_class: usize) -> SampledPixels {
    let (groups, device) = (labels.groups(), wrong.device());
    let shape = [labels.images as i64, labels.positions as i64];
    let on_device = |values: Vec<i64>| Tensor::from_slice(&values).to_device(device);
    let image = on_device(groups.keys().map(|(image, _)| *image as i64).collect());
    let class = on_device(groups.keys().map(|(_, class)| *class).collect());
    let table = Tensor::from_slice(&labels.labels).view(shape).to_device(device);
    let outside = table.index_select(0, &image).not_equal_tensor(&class.unsqueeze(1));
    let keys = Tensor::from_slice(&draws.keys).view(shape).to_device(device);
    let keys = keys.index_select(0, &image).masked_fill(&outside, f64::NEG_INFINITY);
    let keys = &keys + hardest(&keys, &wrong.index_select(0, &image), per_class / 2);
    let taken = (per_class as i64).min(shape[1]);
    let (_, largest) = keys.topk(taken, 1, true, true);
    let rows = (largest + image.unsqueeze(1) * shape[1]).view(-1);
    // A class with fewer positions than `per_class` has them all, and they come first.
    let count = |positions: usize| (positions as i64).min(taken);
    let kept = groups.values().zip(0i64..).flat_map(|(&have, group)| (0..count(have)).map(move |k| group * taken + k));
    let repeated = |value: fn(&(usize, i64)) -> i64| {
        groups.iter().flat_map(|(group, &have)| std::iter::repeat_n(value(group), count(have) as usize)).collect()
    };
    SampledPixels {
        positions: rows.index_select(0, &on_device(kept.collect())),
        labels: repeated(|(_, class)| *class),
        images: repeated(|(image, _)| *image as i64),
    }
}

/// 1 at the misclassified positions of each group with the largest keys, at most `most` of them; 0 elsewhere.
fn hardest(keys: &Tensor, wrong: &Tensor, most: usize) -> Tensor {
    let candidates = keys.masked_fill(&wrong.logical_not(), f64::NEG_INFINITY);
    let (values, places) = candidates.topk((most as i64).min(keys.size()[1]), 1, true, true);
    keys.zeros_like().scatter(1, &places, &values.isfinite().to_kind(keys.kind()))
}
