//! Running statistics of batch norm measured anew, for weights that no run has trained.

use std::sync::Arc;

use tch::{Tensor, no_grad};

use super::evaluation::images_of;
use crate::config::RunConfig;
use crate::data::{Loader, LoaderOptions, Role, sampler};
use crate::engine::guard;
use crate::models::{Mode, Model, Network};
use crate::runs::RunError;
use crate::saved_models::ModelDescription;
use crate::train::{Event, Observer};

/// Weight of a batch in the running statistics of batch norm.
const MOMENTUM: f64 = 0.1;

/// Replaces the running statistics of a model by the mean over batches of the training images, in random order, each as
/// evaluation sees it.
///
/// # Errors
/// [`RunError`] for images that cannot be read and for exceptions of libtorch.
pub(crate) fn measure_statistics(
    (model, description): (&Model, &ModelDescription),
    config: &RunConfig,
    observer: &mut Observer<'_>,
) -> Result<(), RunError> {
    let (_, images) = images_of(description, config, Some(Role::Train), observer)?;
    let tensors = model.tensors("");
    let is_statistic = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
    let statistics: Vec<&Tensor> = tensors.iter().filter(|p| is_statistic(&p.name)).map(|p| &p.tensor).collect();
    let batch = config.train.batch_size.min(images.len());
    let batches = sampler::shuffle(images.len(), batch, config.train.seed, 0, true)?;
    let count = batches.len() as f64;
    let options = LoaderOptions { workers: config.workers(), ..LoaderOptions::default() };
    let transform = Arc::new(description.evaluation_transform()?);
    let mut sums = guard("measuring statistics", || statistics.iter().map(|s| s.zeros_like()).collect::<Vec<_>>())?;
    let mut done = 0;
    for batch in Loader::new(images.clone(), transform, batches, options)? {
        let batch = batch?;
        // From zeros, one pass leaves MOMENTUM x the statistics of the batch.
        guard("clearing statistics", || no_grad(|| statistics.iter().for_each(|s| drop(s.shallow_clone().zero_()))))?;
        let _ = no_grad(|| model.features(&batch.images, Mode::Train))?;
        guard("adding statistics", || {
            no_grad(|| sums.iter_mut().zip(&statistics).for_each(|(sum, s)| drop(sum.g_add_(s))));
        })?;
        done += batch.indices.len();
        observer(&Event::Progress { done, total: images.len() });
    }
    guard("setting statistics", || {
        no_grad(|| {
            for (statistic, sum) in statistics.iter().zip(&sums) {
                statistic.shallow_clone().copy_(&(sum / (MOMENTUM * count)));
            }
        });
    })?;
    Ok(())
}
