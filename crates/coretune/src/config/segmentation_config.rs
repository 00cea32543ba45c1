//! The configuration of a run that segments images.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::automatic::Input;
use super::choices::{Accumulation, HeadInit};
use super::configuration::{Configuration, Regrouping};
use super::error::{ConfigError, refuse_if};
use super::layers::Layers;
use super::sections::{
    CheckpointSection, DataSection, MethodSection, ModelSection, RunSection, SegmentationSection, TrainSection,
};
use crate::data::absolute_roots;
use crate::files::absolute;
use crate::models::{Architecture, DenseHeadKind, OutputStride, PixelViews};
use crate::objectives::Regulariser;
use crate::settings::RunKind;

/// The configuration of a run that segments images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationConfig {
    /// Where the weights come from.
    pub checkpoint: CheckpointSection,
    /// The backbone.
    pub model: ModelSection,
    /// The images and their masks.
    pub data: DataSection,
    /// The objective.
    pub method: MethodSection,
    /// The heads and the crops.
    pub segmentation: SegmentationSection,
    /// The optimisation.
    pub train: TrainSection,
    /// The machine and the folder.
    pub run: RunSection,
}

impl Layers {
    /// The configuration of segmentation, when every setting is given and all go together.
    ///
    /// # Errors
    /// The first setting that is missing, belongs to another kind of run, or excludes another one.
    ///
    /// # Panics
    /// When the table of settings and [`SegmentationConfig`] disagree, which a test excludes.
    pub fn validate_segmentation(&self) -> Result<SegmentationConfig, ConfigError> {
        self.check_keys(RunKind::Segmentation)?;
        let layers = self.clone().with_defaults_of_method();
        let mut config =
            SegmentationConfig::deserialize(layers.to_table()).expect("the table of settings has checked every value");
        config.method.keep_own_values();
        config.check()?;
        Ok(config)
    }
}

impl SegmentationConfig {
    /// Refuses settings that are each in range and do not go together.
    fn check(&self) -> Result<(), ConfigError> {
        self.data.check()?;
        self.model.check()?;
        self.train.check()?;
        self.run.check(&self.train)?;
        self.method.check_requirements(&self.to_table())?;
        self.method.check_regulariser()?;
        refuse_if(self.method.regulariser == Regulariser::Delta, || ConfigError::Conflict {
            first: "method.regulariser".into(),
            second: "segmentation.head".into(),
            expected: "l2-sp or spd: delta reads the maps of each stage, and methods for pixels read rows and labels"
                .into(),
            found: "delta".into(),
            hint: "give {method.regulariser=l2-sp} or {method.regulariser=spd}".into(),
        })?;
        let SegmentationSection { least_scale, most_scale, output_stride, .. } = self.segmentation;
        refuse_if(least_scale > most_scale, || ConfigError::Conflict {
            first: "segmentation.least_scale".into(),
            second: "segmentation.most_scale".into(),
            expected: format!("a smallest factor of at most {most_scale}"),
            found: least_scale.to_string(),
            hint: "lower {segmentation.least_scale}, or raise {segmentation.most_scale}".into(),
        })?;
        refuse_if(OutputStride::of(output_stride).is_none(), || ConfigError::Conflict {
            first: "segmentation.output_stride".into(),
            second: "segmentation.head".into(),
            expected: "8, 16 or 32".into(),
            found: output_stride.to_string(),
            hint: "give {segmentation.output_stride=16}".into(),
        })?;
        let pools = matches!(self.segmentation.head, DenseHeadKind::DeepLabV3 | DenseHeadKind::DeepLabV3Plus);
        refuse_if(self.train.batch_size < 2 && pools && !self.model.freeze_batch_norm, || ConfigError::Conflict {
            first: "train.batch_size".into(),
            second: "segmentation.head".into(),
            expected: "at least 2 images: DeepLab normalises the mean of each map over the batch".into(),
            found: self.train.batch_size.to_string(),
            hint: "give {train.batch_size=2} or more, or {model.freeze_batch_norm}".into(),
        })?;
        let eta_ratio = self.method.values.get("eta_ratio").filter(|value| value.as_str() != Some("off"));
        refuse_if(eta_ratio.is_some(), || ConfigError::Conflict {
            first: "method.eta_ratio".into(),
            second: "segmentation.head".into(),
            expected: "off: the cross-entropy of pixels has no gradient at the rows by which eta could be set".into(),
            found: eta_ratio.map_or_else(String::new, ToString::to_string),
            hint: "leave out {method.eta_ratio}, and give {method.eta}".into(),
        })?;
        let is_split = self.train.accumulation == Accumulation::Split && self.train.grad_accum_steps > 1;
        refuse_if(is_split, || ConfigError::Conflict {
            first: "train.accumulation".into(),
            second: "segmentation.head".into(),
            expected: "exact: the cross-entropy is that of all pixels of a step".into(),
            found: "split".into(),
            hint: "leave out {train.accumulation=split}".into(),
        })?;
        refuse_if(self.starts_from_probe() && !self.run.probe, || ConfigError::Conflict {
            first: "method.head_init".into(),
            second: "run.probe".into(),
            expected: "the probe, from which a linear head starts".into(),
            found: "probe = false".into(),
            hint: "leave out {run.probe=false}, or give {method.head_init=random}".into(),
        })
    }

    /// Whether the classifier starts from the linear probe: with a linear head, which a method without steps always has.
    pub fn starts_from_probe(&self) -> bool {
        self.method.head_init == HeadInit::LinearProbe && self.head() == DenseHeadKind::Linear
    }

    /// The head: the probe's for a method that makes no steps, else as given.
    fn head(&self) -> DenseHeadKind {
        let makes_steps = self.method.build(0.0).is_none_or(|objective| objective.needs().steps);
        if makes_steps { self.segmentation.head } else { DenseHeadKind::Linear }
    }

    /// Decides what is still `auto`, and gives the input: mean and standard deviation as given, or else as in `usual`, the
    /// input of the checkpoint. `smaller_side` is that of the first training image, in pixels.
    ///
    /// The copy returned is the one that is saved.
    pub fn resolve(
        &self,
        architecture: &Architecture,
        usual: &Input,
        (num_classes, smaller_side): (i64, u32),
    ) -> (SegmentationConfig, Input) {
        let crop = self.segmentation.crop_of(smaller_side);
        let input = Input {
            img_size: crop,
            mean: self.data.mean.unwrap_or(usual.mean),
            std: self.data.std.unwrap_or(usual.std),
            interpolation: self.data.interpolation,
            ..*usual
        };
        let mut resolved = self.clone();
        resolved.model = ModelSection {
            name: Some(architecture.family),
            stem: Some(architecture.stem),
            width: Some(architecture.width),
            num_classes: Some(num_classes),
            ..self.model.clone()
        };
        resolved.segmentation.head = self.head();
        resolved.segmentation.crop = Some(crop);
        resolved.data.mean = Some(input.mean);
        resolved.data.std = Some(input.std);
        resolved.train.warmup_epochs = Some(self.train.warmup());
        resolved.run.output = Some(self.output());
        resolved.data.dir = absolute_roots(&self.data.dir);
        resolved.checkpoint.path = absolute(&self.checkpoint.path);
        (resolved, input)
    }

    /// The dilation of the backbone.
    ///
    /// # Panics
    /// For a stride that [`Layers::validate_segmentation`] refuses.
    pub fn output_stride(&self) -> OutputStride {
        OutputStride::of(self.segmentation.output_stride).expect("the stride was checked")
    }

    /// How images are evaluated at the end of a run, and after it.
    pub fn views(&self) -> PixelViews {
        self.segmentation.views(self.data.tta)
    }

    /// Threads that read images.
    pub fn workers(&self) -> usize {
        self.run.reading_threads()
    }
}

impl Configuration for SegmentationConfig {
    const KIND: RunKind = RunKind::Segmentation;

    fn of(layers: &Layers) -> Result<Self, ConfigError> {
        layers.validate_segmentation()
    }

    fn method_name(&self) -> &str {
        self.method.word()
    }

    fn checkpoint_path(&self) -> Option<&Path> {
        Some(&self.checkpoint.path)
    }

    fn regrouping(&self) -> Regrouping {
        Regrouping::of(&self.train, true, self.model.freeze_batch_norm)
    }

    fn data(&self) -> &DataSection {
        &self.data
    }

    fn train(&self) -> &TrainSection {
        &self.train
    }

    fn run(&self) -> &RunSection {
        &self.run
    }

    fn train_mut(&mut self) -> &mut TrainSection {
        &mut self.train
    }

    fn run_mut(&mut self) -> &mut RunSection {
        &mut self.run
    }
}
