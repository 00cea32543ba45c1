//! Features and logits of a whole split, or figures of them batch by batch.

use std::sync::Arc;

use tch::{Device, Kind, Tensor, no_grad};

use super::{EvaluateError, Measure, classification};
use crate::data::{Batch, Loader, LoaderOptions, Split, sampler};
use crate::engine::{Stop, World, guard};
use crate::models::{Mode, Model, Network, TestViews};
use crate::transforms::Transform;

/// How images reach a model that is only evaluated.
#[derive(Debug, Clone)]
pub struct Evaluator {
    /// What is done to an image.
    pub transform: Arc<Transform>,
    /// Images in a batch.
    pub batch_size: usize,
    /// Threads that read images.
    pub workers: usize,
    /// Ends the work between two batches.
    pub stop: Stop,
    /// The processes that share a split: each computes every n-th batch of it, and all get the outputs of all, or what they
    /// measure.
    pub world: World,
}

/// Features and logits of the images of a split, in their order; on the host.
#[derive(Debug)]
pub struct Outputs {
    /// f32 `[n, D]`.
    pub features: Tensor,
    /// f32 `[n, C]`.
    pub logits: Tensor,
    /// n classes.
    pub labels: Vec<i64>,
}

impl Outputs {
    /// Whether the largest logit of each image is its label's.
    ///
    /// # Errors
    /// [`EvaluateError`] for logits that are empty, NaN or infinite.
    pub fn correct(&self) -> Result<Vec<bool>, EvaluateError> {
        classification::correct(&self.logits, &self.labels)
    }

    /// Top-1 accuracy, a fraction.
    ///
    /// # Errors
    /// As [`Outputs::correct`].
    pub fn top1(&self) -> Result<f64, EvaluateError> {
        Ok(classification::accuracy(&self.correct()?))
    }
}

impl Evaluator {
    /// Features and logits of every image of `split`; `progress` gets (done, total) after every batch.
    ///
    /// # Errors
    /// [`EvaluateError::Data`] for images that cannot be read, [`EvaluateError::Interrupted`] when it was asked to
    /// stop, and [`EvaluateError::Model`] when the model fails.
    pub fn outputs(
        &self,
        model: &Model,
        split: &Split,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Outputs, EvaluateError> {
        self.outputs_of_views(model, TestViews::Plain, split, progress)
    }

    /// [`Evaluator::outputs`], with the features of several views of each image averaged.
    ///
    /// # Errors
    /// As [`Evaluator::outputs`].
    pub fn outputs_of_views(
        &self,
        model: &Model,
        views: TestViews,
        split: &Split,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Outputs, EvaluateError> {
        let of = |images: &Tensor| -> Result<Tensor, EvaluateError> { Ok(model.features(images, Mode::Evaluate)?) };
        let mut forward = |images: &Tensor| Ok([views.features(images, of)?]);
        let [features] = self.features(split, progress, &mut forward)?;
        let logits = no_grad(|| {
            guard("computing logits", || {
                model.classifier.forward(&features.to_device(model.device())).to_device(Device::Cpu)
            })
        })?;
        Ok(Outputs { features, logits, labels: split.labels().to_vec() })
    }

    /// Shows `split` to `forward` and what that gives to `measure`, batch by batch: no outputs are kept.
    ///
    /// # Errors
    /// [`EvaluateError::Data`] for images that cannot be read, [`EvaluateError::Interrupted`] when it was asked to
    /// stop, and what `forward` or `measure` fails with.
    pub fn measure(
        &self,
        split: &Split,
        measure: &mut dyn Measure,
        forward: &mut dyn FnMut(&Tensor) -> Result<Tensor, EvaluateError>,
    ) -> Result<(), EvaluateError> {
        self.each_round(split, &mut |_, _| {}, &mut |batch| {
            let outputs = batch.map(|batch| no_grad(|| forward(&batch.images))).transpose()?;
            let outputs = outputs.map(|outputs| outputs.to_device(Device::Cpu));
            let targets = batch.map(|batch| match &batch.masks {
                Some(masks) => masks.shallow_clone(),
                None => Tensor::from_slice(&batch.labels),
            });
            measure.add_round(self.world, outputs.as_ref().zip(targets.as_ref()))
        })
    }

    /// Feature matrices f32 `[n, D]`, one for each view of a batch that `forward` gives; without graph, on the host.
    ///
    /// # Errors
    /// [`EvaluateError::Data`] for images that cannot be read, [`EvaluateError::Interrupted`] when it was asked to
    /// stop, and what `forward` fails with.
    pub fn features<const VIEWS: usize>(
        &self,
        split: &Split,
        progress: &mut dyn FnMut(usize, usize),
        forward: &mut dyn FnMut(&Tensor) -> Result<[Tensor; VIEWS], EvaluateError>,
    ) -> Result<[Tensor; VIEWS], EvaluateError> {
        let mut views: [Vec<Tensor>; VIEWS] = std::array::from_fn(|_| Vec::new());
        self.each_round(split, progress, &mut |batch| {
            let of_batch = batch.map(|batch| no_grad(|| forward(&batch.images))).transpose()?;
            let of_batch = of_batch.map_or([const { None }; VIEWS], |views| views.map(Some));
            for (view, features) in views.iter_mut().zip(of_batch) {
                let features = features.map(|features| features.to_device(Device::Cpu).to_kind(Kind::Float));
                view.extend(self.world.gather_uneven(features.as_ref())?);
            }
            Ok(())
        })?;
        Ok(guard("joining features", || views.map(|parts| Tensor::cat(&parts, 0)))?)
    }

    /// Calls `visit` once for every round of batches of `split`, one for each process, in the order of its images: with
    /// this process's batch, if the round has one for it.
    fn each_round(
        &self,
        split: &Split,
        progress: &mut dyn FnMut(usize, usize),
        visit: &mut Visit<'_>,
    ) -> Result<(), EvaluateError> {
        let options = LoaderOptions { workers: self.workers, ..LoaderOptions::default() };
        let batches = sampler::sequential(split.len(), self.batch_size)?;
        let (rank, ranks) = (self.world.rank(), self.world.ranks());
        let own = batches.iter().skip(rank).step_by(ranks).cloned().collect();
        let mut loader = Loader::new(split.clone(), Arc::clone(&self.transform), own, options)?;
        let mut done = 0;
        for round in batches.chunks(ranks) {
            let batch = if rank < round.len() { loader.next().transpose()? } else { None };
            if self.world.agree(self.stop.is_requested())? {
                return Err(EvaluateError::Interrupted);
            }
            visit(batch.as_ref())?;
            done += round.iter().map(Vec::len).sum::<usize>();
            progress(done, split.len());
        }
        Ok(())
    }
}

/// What is done with this process's batch of a round.
type Visit<'a> = dyn FnMut(Option<&Batch>) -> Result<(), EvaluateError> + 'a;
