//! Features in two dimensions: t-SNE (van der Maaten, JMLR 2014) of their cosine geometry.
//!
//! The neighbours are found exactly, the start is the first two principal components, and one thread adds everything up
//! in one order: the same features give the same picture.

use bhtsne::{Neighbor, tSNE};
use rand::RngExt;
use tch::{Kind, Tensor};

use crate::engine::rows::unit_rows;
use crate::engine::{EngineError, guard};
use crate::random::{Purpose, stream};

/// Most images in an embedding.
pub(super) const IMAGES: usize = 1000;

/// Fewest images for which neighbours are meaningful.
const FEWEST: usize = 8;

/// Effective number of neighbours, if there are enough images for it.
const PERPLEXITY: f32 = 30.0;

/// Steps of gradient descent, and those of them with exaggerated attraction.
const STEPS: (usize, usize) = (750, 250);

/// Accuracy of the Barnes-Hut approximation.
const THETA: f32 = 0.5;

/// Spread of the first component at the start: small, so that attraction decides (Kobak and Berens, 2019).
const START: f64 = 1e-4;

/// Noise at the start, as a fraction of [`START`].
const NOISE: f64 = 0.01;

/// A position for each row of `features` `[n, D]`.
///
/// # Errors
/// Why the features cannot be embedded, as text.
pub(super) fn embedding(features: &Tensor) -> Result<Vec<(f64, f64)>, String> {
    let images = features.size().first().map_or(0, |&rows| rows as usize);
    if images < FEWEST {
        return Err(format!("{images} images are too few for an embedding, which needs {FEWEST}"));
    }
    let perplexity = PERPLEXITY.min((images - 1) as f32 / 3.0).floor();
    let prepared = start(features).and_then(|start| Ok((start, neighbours(features, 3 * perplexity as usize)?)));
    let (start, neighbours) = prepared.map_err(|error| error.to_string())?;
    let Some(start) = start else { return Err("the features of all images are the same".into()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| error.to_string())?;
    let positions = pool.install(|| {
        let rows = vec![(); images];
        tSNE::<f32, ()>::new(&rows)
            .perplexity(perplexity)
            .epochs(STEPS.0)
            .stop_lying_epoch(STEPS.1)
            .initial_embedding(start)
            .barnes_hut_with_neighbors(THETA, &neighbours)
            .embedding()
    });
    if positions.iter().any(|value| !value.is_finite()) {
        return Err("the embedding does not converge on these features".into());
    }
    Ok(positions.as_chunks().0.iter().map(|&[x, y]| (f64::from(x), f64::from(y))).collect())
}

/// The first two principal components of the unit rows, row by row, scaled to [`START`]; `None` if all rows are equal.
///
/// A little noise separates equal rows, which the tree of the approximation could not.
fn start(features: &Tensor) -> Result<Option<Vec<f32>>, EngineError> {
    let mut noise = stream(0, Purpose::Shown, 0, 0);
    let components = guard("finding the principal components of the features", || {
        let unit = unit_rows(&features.to_kind(Kind::Double));
        let centred = &unit - unit.mean_dim([0i64].as_slice(), true, Kind::Double);
        let (left, scales, _) = centred.svd(true, true);
        let width = left.size()[1].min(2);
        let components = left.narrow(1, 0, width) * scales.narrow(0, 0, width);
        let components = components.constant_pad_nd([0, 2 - width]);
        let spread = components.select(1, 0).std(true).double_value(&[]);
        (spread > 1e-6).then(|| floats(&(components * (START / spread))))
    })?;
    let apart = |value| value + (START * NOISE * noise.random_range(-1.0..1.0)) as f32;
    Ok(components.map(|values| values.into_iter().map(apart).collect()))
}

/// The `count` nearest rows of each row by Euclidean distance of unit vectors, nearest first, without itself.
fn neighbours(features: &Tensor, count: usize) -> Result<Vec<Vec<Neighbor<f32>>>, EngineError> {
    guard("finding the neighbours of the features", || {
        let unit = unit_rows(&features.to_kind(Kind::Float));
        let distances = (unit.matmul(&unit.tr()) * -2.0 + 2.0).clamp_min(0.0).sqrt();
        let images = unit.size()[0];
        let others = distances + Tensor::eye(images, (Kind::Float, tch::Device::Cpu)) * 1e3;
        let (distances, indices) = others.sort_stable(true, 1, false);
        let take = |matrix: &Tensor| floats(&matrix.narrow(1, 0, count as i64).to_kind(Kind::Float));
        let row = |(distances, indices): (&[f32], &[f32])| {
            let neighbour = |(&distance, &index): (&f32, &f32)| Neighbor { index: index as usize, distance };
            distances.iter().zip(indices).map(neighbour).collect()
        };
        take(&distances).chunks(count).zip(take(&indices).chunks(count)).map(row).collect()
    })
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.to_kind(Kind::Float).contiguous().copy_data(&mut values, tensor.numel());
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two directions with noise around them, 20 rows each.
    fn two_groups() -> Tensor {
        let rows = |index: i64| {
            let noise = |column: i64| ((index * 31 + column * 17) % 13) as f32 / 100.0;
            let group = f32::from(u8::from(index >= 20));
            [1.0 - group + noise(0), group + noise(1), noise(2), noise(3)]
        };
        let values: Vec<f32> = (0..40).flat_map(rows).collect();
        Tensor::from_slice(&values).view([40, 4])
    }

    #[test]
    fn the_same_features_give_the_same_picture() {
        assert_eq!(embedding(&two_groups()), embedding(&two_groups()));
    }

    #[test]
    fn groups_stay_apart() {
        let points = embedding(&two_groups()).unwrap();
        let distance = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).hypot(a.1 - b.1);
        for (index, &point) in points.iter().enumerate() {
            let nearest = (0..40)
                .filter(|&other| other != index)
                .min_by(|&a, &b| distance(point, points[a]).total_cmp(&distance(point, points[b])));
            assert_eq!(nearest.unwrap() >= 20, index >= 20, "row {index}");
        }
    }

    #[test]
    fn rows_that_are_all_equal_and_too_few_rows_are_no_accident() {
        let equal = Tensor::ones([12, 3], (Kind::Float, tch::Device::Cpu));
        assert!(embedding(&equal).unwrap_err().contains("are the same"));
        let twice = Tensor::cat(&[two_groups().narrow(0, 0, 10), two_groups().narrow(0, 0, 10)], 0);
        assert_eq!(embedding(&twice).unwrap().len(), 20);
        let two_values =
            Tensor::cat(&[equal.narrow(0, 0, 6), equal.narrow(0, 0, 6) * Tensor::from_slice(&[1.0f32, 0.0, 0.0])], 0);
        assert_eq!(embedding(&two_values).unwrap().len(), 12);
        assert!(embedding(&two_groups().narrow(0, 0, 7)).unwrap_err().contains("too few"));
        // One positive column: every unit row is 1.
        assert!(embedding(&two_groups().narrow(0, 0, 8).narrow(1, 0, 1)).is_err());
    }
}
