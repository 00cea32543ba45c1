//! The names that other programs give the tensors of a model.

use std::path::Path;

use tch::{Device, Kind, Tensor, no_grad};

use super::source::Source;
use super::{ExportError, Format};
use crate::checkpoints::Checkpoint;
use crate::engine::guard;
use crate::models::{Backbone, Family, Linear, Model};

/// Prefixes under which the parts of a model are written.
#[derive(Debug)]
pub(super) struct Naming {
    format: Format,
    /// The dictionaries around the tensors in the file as it is read back.
    container: &'static str,
    backbone: &'static str,
    classifier: &'static str,
    /// The two layers of the projection head, if it is written.
    projection: Option<[&'static str; 2]>,
}

impl Naming {
    /// Those of torchvision and timm; the 32x32 MobileNetV2's are of its common CIFAR implementation.
    pub(super) fn torchvision(family: Family, with_projection: bool) -> Self {
        let projection = with_projection.then_some(["projection.0.", "projection.2."]);
        Naming {
            format: Format::Safetensors,
            container: "",
            backbone: "",
            classifier: family.classifier_prefix(),
            projection,
        }
    }

    /// Those of the published Core-tuning script.
    pub(super) fn core_tuning(with_projection: bool) -> Self {
        let projection = with_projection.then_some(["module.contrastor.input.", "module.contrastor.output."]);
        Naming {
            format: Format::Torch,
            container: "state_dict.",
            backbone: "module.extractor.",
            classifier: "module.classifier.",
            projection,
        }
    }

    /// Names and tensors in the order of the layers. A classifier without bias gets one of zeros: the other programs'
    /// classifiers have one.
    pub(super) fn tensors(&self, model: &Model) -> Result<Vec<(String, Tensor)>, ExportError> {
        let mut tensors: Vec<(String, Tensor)> = model
            .backbone
            .parameters()
            .iter()
            .map(|parameter| (format!("{}{}", self.backbone, parameter.name), parameter.tensor.detach()))
            .collect();
        tensors.push((format!("{}weight", self.classifier), model.classifier.weight.detach()));
        tensors.push((format!("{}bias", self.classifier), bias_of(&model.classifier)?));
        if let (Some(prefixes), Some(projection)) = (self.projection, &model.projection) {
            let layers = projection.parameters();
            for (ours, theirs) in ["0.", "2."].into_iter().zip(prefixes) {
                for part in ["weight", "bias"] {
                    let layer = layers.get(&format!("{ours}{part}")).expect("the head has two layers with bias");
                    tensors.push((format!("{theirs}{part}"), layer.tensor.detach()));
                }
            }
        }
        Ok(tensors)
    }

    /// The model that a file holds, once each of its tensors has been found equal to the model's.
    pub(super) fn read_back(&self, path: &Path, source: &Source) -> Result<Model, ExportError> {
        let checkpoint = Checkpoint::open(path)?;
        let expected = self.tensors(&source.model)?;
        if checkpoint.tensors().len() != expected.len() {
            let found = format!("it holds {} tensors", checkpoint.tensors().len());
            return Err(self.differs(expected.len().to_string(), found));
        }
        for (name, tensor) in &expected {
            let found = self.read(&checkpoint, name)?;
            if found.size() != tensor.size() || !guard("comparing a tensor", || found.equal(tensor))? {
                return Err(self.differs("the same values".into(), format!("another value in {name}")));
            }
        }
        self.build(&checkpoint, source)
    }

    fn build(&self, checkpoint: &Checkpoint, source: &Source) -> Result<Model, ExportError> {
        let backbone = Backbone::zeroed(&source.description.architecture, Device::Cpu)?;
        for parameter in backbone.parameters().iter() {
            let values = self.read(checkpoint, &format!("{}{}", self.backbone, parameter.name))?;
            guard("copying a tensor", || no_grad(|| parameter.tensor.shallow_clone().copy_(&values)))?;
        }
        let [weight, bias] =
            ["weight", "bias"].map(|part| self.read(checkpoint, &format!("{}{part}", self.classifier)));
        let classifier = Linear::from_values(&weight?, Some(&bias?), Device::Cpu)?;
        Ok(Model::new(backbone, classifier, None, source.model.normalisation)?)
    }

    fn read(&self, checkpoint: &Checkpoint, name: &str) -> Result<Tensor, ExportError> {
        Ok(checkpoint.read_as_stored(&format!("{}{name}", self.container))?)
    }

    fn differs(&self, expected: String, found: String) -> ExportError {
        ExportError::Differs { format: self.format, expected, found }
    }
}

fn bias_of(classifier: &Linear) -> Result<Tensor, ExportError> {
    Ok(match &classifier.bias {
        Some(bias) => bias.detach(),
        None => guard("making a bias", || Tensor::zeros([classifier.outputs()], (Kind::Float, Device::Cpu)))?,
    })
}
