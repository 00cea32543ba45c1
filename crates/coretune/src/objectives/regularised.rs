//! Any method with a pull towards the network that it starts from.

use tch::Tensor;

use super::delta::{ChannelWeights, Delta, DeltaSettings};
use super::{
    FileNames, Needs, Objective, ObjectiveLoss, Pass, Pull, PullActs, QueueSize, Sharing, Sizes, Start, figure,
};
use crate::engine::guard;
use crate::models::{ModelError, Network, Parameters, Role};
use crate::settings::choice;

choice! {
    /// What pulls the backbone towards its start, beside the method's own loss.
    Regulariser {
        /// Nothing.
        None = "none",
        /// alpha / 2 x ||w - w0||^2 in each update (B2).
        L2Sp = "l2-sp",
        /// Selective projection decay: a weight that moves away from w0 against its gradient is drawn back.
        Spd = "spd",
        /// alpha x the distance of the feature maps to those of the checkpoint, every channel alike (B3).
        Delta = "delta",
    }
}

impl Regulariser {
    /// Its weight unless another is given: that of B2 and B3; for spd our choice.
    pub fn usual_weight(self) -> f64 {
        match self {
            Regulariser::Spd => 0.5,
            Regulariser::None | Regulariser::L2Sp | Regulariser::Delta => 0.01,
        }
    }
}

/// A method with a [`Regulariser`].
pub struct Regularised {
    method: Box<dyn Objective>,
    kind: Regulariser,
    weight: f64,
    /// Of the backbone, by its names; made by [`Objective::begin`].
    pulls: Vec<(String, Pull)>,
    /// Computes the distance of maps.
    distance: Option<Delta>,
}

impl Regularised {
    /// The method with this regulariser, before its first step.
    pub fn new(method: Box<dyn Objective>, kind: Regulariser, weight: f64) -> Self {
        let settings = DeltaSettings {
            weight,
            head_decay: 0.0,
            channels: ChannelWeights::Uniform,
            images: 0,
            label_smoothing: 0.0,
        };
        let distance = (kind == Regulariser::Delta).then(|| Delta::new(settings));
        Regularised { method, kind, weight, pulls: Vec::new(), distance }
    }

    /// A pull of each weight of the backbone towards its value now.
    fn pulls_of_backbone(&self, start: &Start<'_>) -> Result<Vec<(String, Pull)>, ModelError> {
        let acts = if self.kind == Regulariser::Spd { PullActs::Selectively } else { PullActs::Always };
        let weights = start.network.backbone().parameters().iter().filter(|parameter| parameter.role == Role::Weight);
        Ok(guard("copying the weights", || {
            let pull = |weight: &Tensor| Pull {
                weight: weight.shallow_clone(),
                towards: Some(weight.detach().copy()),
                strength: self.weight,
                acts,
            };
            weights.map(|weight| (weight.name.clone(), pull(&weight.tensor))).collect()
        })?)
    }
}

impl Objective for Regularised {
    fn name(&self) -> &'static str {
        self.method.name()
    }

    fn needs(&self) -> Needs {
        let needs = self.method.needs();
        let copies = needs.copies + 1;
        if self.kind != Regulariser::Delta {
            return Needs { copies, ..needs };
        }
        Needs {
            stage_maps: true,
            copies,
            forward_passes: needs.forward_passes + 1,
            divisible: false,
            sharing: if needs.sharing == Sharing::Rows { Sharing::RowsAndMaps } else { needs.sharing },
            ..needs
        }
    }

    fn kept_rows(&self, sizes: &Sizes) -> Option<(QueueSize, &'static str)> {
        self.method.kept_rows(sizes)
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        self.method.begin(start)?;
        match &mut self.distance {
            Some(distance) => distance.begin(start)?,
            None => self.pulls = self.pulls_of_backbone(start)?,
        }
        Ok(())
    }

    fn prepare(&mut self, pass: &Pass<'_>) -> Result<(), ModelError> {
        self.method.prepare(pass)
    }

    fn pulls(&self) -> Vec<Pull> {
        let own = self.pulls.iter().map(|(_, pull)| pull.shallow_clone());
        self.method.pulls().into_iter().chain(own).collect()
    }

    fn before_step(&mut self, network: &dyn Network, draw: (u64, u64)) -> Result<(), ModelError> {
        self.method.before_step(network, draw)
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let mut loss = self.method.loss(pass)?;
        if self.distance.is_some() && !pass.shares_rows() {
            let of_maps = self.loss_of_maps(pass)?;
            loss.figures.extend(of_maps.figures);
            loss.total = guard("adding the regulariser", || loss.total + of_maps.total)?;
        }
        Ok(loss)
    }

    fn loss_of_maps(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let Some(distance) = &self.distance else { return self.method.loss_of_maps(pass) };
        let distance = distance.distance(pass)?;
        let figures = vec![(figure::FEATURE_DISTANCE, distance.detach())];
        Ok(ObjectiveLoss { total: guard("weighing the distance", || self.weight * distance)?, figures })
    }

    fn drop_pending(&mut self) {
        self.method.drop_pending();
    }

    fn updated(&mut self) -> Result<(), ModelError> {
        self.method.updated()
    }

    fn state(&self) -> Parameters {
        let mut list = self.method.state();
        for (name, pull) in &self.pulls {
            if let Some(start) = &pull.towards {
                let _ = list.add(format!("regulariser.start.{name}"), start.shallow_clone(), Role::Buffer);
            }
        }
        if let Some(distance) = &self.distance {
            list.extend_under("regulariser.", &distance.state());
        }
        list
    }

    fn network_rests(&self, step: u64) -> bool {
        self.method.network_rests(step)
    }

    fn rests_until(&self, name: &str) -> u64 {
        self.method.rests_until(name)
    }

    fn names(&self) -> FileNames {
        self.method.names()
    }
}
