//! Features of pixels: f at labelled positions of some images.

use std::collections::BTreeSet;

use rand::seq::index::sample;
use tch::{Device, Kind, Tensor, no_grad};

use super::{SegmentationPreparation, SegmentationTask};
use crate::data::{Split, stack_images};
use crate::engine::guard;
use crate::engine::rows::IGNORED;
use crate::mining::MapLabels;
use crate::models::{DenseHeadKind, Mode, Segmenter};
use crate::random::{Purpose, stream};
use crate::runs::RunError;

/// Rows of a map f, and their classes.
#[derive(Debug)]
pub struct PixelFeatures {
    /// f32 `[n, D]`, on the host.
    pub rows: Tensor,
    /// The class of each row.
    pub labels: Vec<i64>,
}

impl SegmentationPreparation {
    /// The frozen backbone with a linear head: f is its last map.
    ///
    /// # Errors
    /// [`RunError`] for exceptions of libtorch.
    pub fn frozen_network(&self) -> Result<Segmenter, RunError> {
        let task: &SegmentationTask = &self.task;
        task.network_with(&self.network.backbone, DenseHeadKind::Linear, false)
    }
}

/// f of these images, in their order, at up to `each` labelled positions of each class, drawn by the seed. Networks whose
/// maps have one size are read at the same positions.
///
/// # Errors
/// What is wrong with an image or its mask.
pub fn pixel_features(
    network: &Segmenter,
    split: &Split,
    images: &[usize],
    (each, seed): (usize, u64),
) -> Result<PixelFeatures, RunError> {
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for &index in images {
        let (image, mask) = split.load_pair(index)?;
        let Some(mask) = mask else { continue };
        let pixels = stack_images(&[&image])?;
        let map = no_grad(|| network.forward(&pixels, Mode::Evaluate, None, false))?.embedding;
        let size = map.size();
        let (width, height) = mask.dimensions();
        let mask = guard("reading a mask", || {
            Tensor::from_slice(mask.as_raw()).view([1, i64::from(height), i64::from(width)])
        })?;
        let all = MapLabels::nearest(&mask, (size[2], size[3]))?.labels;
        let places = drawn(&all, index, each, seed);
        labels.extend(places.iter().map(|&place| all[place as usize]));
        rows.push(guard("taking rows of a map", || {
            let rows = map.get(0).permute([1, 2, 0]).reshape([-1, size[1]]).to_device(Device::Cpu);
            rows.to_kind(Kind::Float).index_select(0, &Tensor::from_slice(&places))
        })?);
    }
    let rows = guard("joining rows of maps", || match rows.len() {
        0 => Tensor::zeros([0, network.embedding_width()], (Kind::Float, Device::Cpu)),
        _ => Tensor::cat(&rows, 0),
    })?;
    Ok(PixelFeatures { rows, labels })
}

/// Positions of an image: of each class up to `each`, in ascending order.
fn drawn(labels: &[i64], image: usize, each: usize, seed: u64) -> Vec<i64> {
    let mut random = stream(seed, Purpose::Shown, 1, image as u64);
    let mut places = Vec::new();
    let classes: BTreeSet<i64> = labels.iter().copied().filter(|label| *label != IGNORED).collect();
    for class in classes {
        let of_class: Vec<i64> = (0i64..).zip(labels).filter(|(_, label)| **label == class).map(|(at, _)| at).collect();
        let chosen = sample(&mut random, of_class.len(), each.min(of_class.len()));
        places.extend(chosen.into_iter().map(|at| of_class[at]));
    }
    places.sort_unstable();
    places
}
