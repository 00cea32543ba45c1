use tch::{Device, Kind, Tensor};

use super::Pass;
use crate::engine::guard;
use crate::models::{Linear, ModelError, Network, Parameters};

/// A method of fine-tuning or pre-training, as the trainer knows it: what it needs, its loss, and the state that it
/// owns.
///
/// The trainer calls [`begin`](Objective::begin) once, then for every step [`loss`](Objective::loss) and, after the
/// update of the weights, [`updated`](Objective::updated). The tensors of [`state`](Objective::state) are saved,
/// resumed and compared like weights.
pub trait Objective: Send {
    /// Name in configurations, run folders and reports.
    fn name(&self) -> &'static str;

    /// What the method needs of a step and of the machine.
    fn needs(&self) -> Needs;

    /// The rows that the method keeps of earlier batches beside copies of the network, for a network of these sizes, with the
    /// key of the setting that decides how many: a queue, a bank, a memory.
    fn kept_rows(&self, _sizes: &Sizes) -> Option<(QueueSize, &'static str)> {
        None
    }

    /// Prepares the method before the first step: a frozen copy of the network, a queue, a bank of features.
    ///
    /// A resumed run calls it too, with the same network and seed, before the saved [`state`](Objective::state) is
    /// copied over what it made.
    ///
    /// # Errors
    /// [`ModelError`] when a copy of the network or the state cannot be built.
    fn begin(&mut self, _start: &Start<'_>) -> Result<(), ModelError> {
        Ok(())
    }

    /// Sees training images before the first step, batch by batch, until it has seen as many as [`Needs::preparation`]
    /// asks for: to fill a bank, to measure the network at its start. A resumed run does not call it: what it made is in
    /// the saved [`state`](Objective::state).
    ///
    /// # Errors
    /// As [`loss`](Objective::loss).
    fn prepare(&mut self, _pass: &Pass<'_>) -> Result<(), ModelError> {
        Ok(())
    }

    /// The weights that each update pulls towards values of their own, beside the optimizer's weight decay. Asked for
    /// once, after [`begin`](Objective::begin).
    fn pulls(&self) -> Vec<Pull> {
        Vec::new()
    }

    /// Called before each step of training, once however often its gradient is computed: what changes weights by itself
    /// does so here. `draw` is the seed of the run and the number of the step.
    ///
    /// # Errors
    /// [`ModelError`] for exceptions of libtorch.
    fn before_step(&mut self, _network: &dyn Network, _draw: (u64, u64)) -> Result<(), ModelError> {
        Ok(())
    }

    /// The loss of one batch.
    ///
    /// # Errors
    /// [`ModelError`] for shapes that do not fit and for exceptions of libtorch.
    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError>;

    /// What [`loss`](Objective::loss) adds for the maps of this process's images: a mean over them. Asked for where processes
    /// share rows ([`Sharing::RowsAndMaps`]); `loss` leaves it out of their rows ([`Pass::shares_rows`]).
    ///
    /// # Errors
    /// As [`loss`](Objective::loss).
    fn loss_of_maps(&mut self, _pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        Ok(guard("adding nothing", || ObjectiveLoss {
            total: Tensor::zeros([], (Kind::Float, Device::Cpu)),
            figures: Vec::new(),
        })?)
    }

    /// Called once the weights have been updated with the gradient of the last loss.
    ///
    /// # Errors
    /// [`ModelError`] for exceptions of libtorch.
    fn updated(&mut self) -> Result<(), ModelError> {
        Ok(())
    }

    /// Called before the loss of the same step is computed once more, at other weights: what the first one set aside for
    /// [`Objective::updated`] is to be forgotten.
    fn drop_pending(&mut self) {}

    /// Handles of every tensor that the next step depends on beside the network: queues, momentum encoders,
    /// calibration. No gradient trains them.
    fn state(&self) -> Parameters {
        Parameters::default()
    }

    /// The step of the run until which the method leaves the network's weight of this name as it is; 0: from the first step on
    /// it is trained.
    fn rests_until(&self, _name: &str) -> u64 {
        0
    }

    /// Whether the whole network rests in this step of the run, and only heads learn: batch norm then keeps its running averages.
    fn network_rests(&self, _step: u64) -> bool {
        false
    }

    /// How the tensors of a run are named in its files.
    fn names(&self) -> FileNames {
        FileNames::OWN
    }
}

/// What a method needs of a step and of the machine. [`Needs::CLASSIFIER`] is the least that fine-tuning has; methods
/// say what they need beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a need of its own, not a state")]
pub struct Needs {
    /// Whether logits are computed from the classifier G_y.
    pub classifier: bool,
    /// Whether the projection head G_c is trained.
    pub projection: bool,
    /// Whether the loss reads the feature maps of each stage ([`Pass::stage_maps`]).
    pub stage_maps: bool,
    /// Views of each image in a batch: 1, or 2 in pre-training.
    pub views: usize,
    /// Passes through the network for each image of a batch that keep activations for a gradient.
    pub gradient_passes: usize,
    /// Passes through a network for each image of a batch without a gradient, as for the keys of a momentum encoder.
    pub forward_passes: usize,
    /// Copies of the network that the method keeps: a frozen source model, a momentum encoder.
    pub copies: usize,
    /// Training images that [`Objective::prepare`] is to see before the first step of fine-tuning.
    pub preparation: usize,
    /// Whether the linear probe of the checkpoint has to be measured ([`Start::probe`]).
    pub probe: bool,
    /// Whether steps train the network. Without them a run evaluates and saves the network as it starts.
    pub steps: bool,
    /// Whether the labels may be mixed ([`crate::objectives::FeatureBatch::soft_targets`]): the loss depends on them through
    /// the cross-entropy alone.
    pub soft_targets: bool,
    /// Whether a batch that does not fit into memory can be computed in parts (exact accumulation): the loss then
    /// depends on images through [`Pass::features`] alone. Ask [`Needs::can_be_divided`].
    pub divisible: bool,
    /// Whether what the method keeps from step to step depends on the rows of the batches, so that every process must see
    /// those of all.
    pub keeps_rows: bool,
    /// How several ranks compute a step together. Ask [`Needs::shared_as`].
    pub sharing: Sharing,
}

/// How several ranks compute a step of a method together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The loss depends on images through [`Pass::features`] alone: every rank computes the features of its images, and
    /// the loss is that of the rows of all ranks. What else it reads of images the method gathers itself, through
    /// [`Pass::world`].
    Rows,
    /// As `Rows`, with a part that reads the maps of images and is a mean over them: every rank adds that of its own images
    /// ([`Objective::loss_of_maps`]).
    RowsAndMaps,
    /// The loss is a mean over the images of the batch, of which every rank computes its own; what it reads of other
    /// images the method exchanges itself, through [`Pass::world`].
    Images,
    /// The method needs all images of a batch in one process.
    None,
}

/// Widths of a network's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Classes of the classifier.
    pub classes: i64,
    /// Width D of the features.
    pub features: i64,
    /// Width d of the projections.
    pub projections: i64,
}

/// Keys and width of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSize {
    /// Rows that are kept.
    pub keys: usize,
    /// Numbers in a row.
    pub width: i64,
}

impl Needs {
    /// One pass through the network and logits from the classifier.
    pub const CLASSIFIER: Needs = Needs {
        classifier: true,
        projection: false,
        stage_maps: false,
        views: 1,
        gradient_passes: 1,
        forward_passes: 0,
        copies: 0,
        preparation: 0,
        probe: false,
        steps: true,
        soft_targets: false,
        divisible: true,
        keeps_rows: false,
        sharing: Sharing::Rows,
    };

    /// Two views of each image and projections of them.
    pub const TWO_VIEWS: Needs = Needs {
        classifier: false,
        projection: true,
        views: 2,
        gradient_passes: 2,
        divisible: false,
        ..Needs::CLASSIFIER
    };

    /// Whether a batch can be computed in parts. The maps of stages are not rows: they are those of the images of one pass.
    pub fn can_be_divided(&self) -> bool {
        self.divisible && !self.stage_maps
    }

    /// How several ranks compute a step together. A method that reads maps of stages does not share rows.
    pub fn shared_as(&self) -> Sharing {
        if self.stage_maps && self.sharing == Sharing::Rows { Sharing::None } else { self.sharing }
    }

    /// Refuses a network that lacks a head which the method needs.
    ///
    /// # Errors
    /// [`ModelError::MissingHead`].
    pub fn check(&self, network: &dyn Network) -> Result<(), ModelError> {
        match (self.classifier && network.classifier().is_none(), self.projection && network.projection().is_none()) {
            (true, _) => Err(ModelError::MissingHead { layer: "classifier" }),
            (_, true) => Err(ModelError::MissingHead { layer: "projection head" }),
            _ => Ok(()),
        }
    }

    /// Time that an image takes in evaluation relative to training, where a backward pass takes as long as two
    /// forward passes.
    pub fn evaluation_fraction(&self) -> f64 {
        1.0 / (3 * self.gradient_passes + self.forward_passes) as f64
    }
}

/// What a method sees before the first step.
pub struct Start<'a> {
    /// The network with the weights that training starts from.
    pub network: &'a dyn Network,
    /// Seed of the run: draws come from [`crate::random::stream`].
    pub seed: u64,
    /// Steps of the whole run, as planned.
    pub steps: u64,
    /// The linear probe of the checkpoint, a classifier of pooled features; `None` if it was not measured.
    pub probe: Option<&'a Linear>,
}

/// A weight decay of one weight, towards values of its own: each update adds strength x (weight - towards) to the gradient,
/// which is that of strength / 2 x ||weight - towards||^2.
#[derive(Debug)]
pub struct Pull {
    /// A handle of the weight. If it is frozen, it is not pulled.
    pub weight: Tensor,
    /// A handle of the values; `None` for zeros.
    pub towards: Option<Tensor>,
    /// Weight of the penalty.
    pub strength: f64,
    /// When it acts.
    pub acts: PullActs,
}

/// When a [`Pull`] acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullActs {
    /// In each update, as weight decay does.
    Always,
    /// Selective projection decay (Tian et al., NeurIPS 2024): after an update whose gradient points towards `towards`,
    /// <gradient, weight - towards> > 0, and that moved the weight away from it all the same, the weight is drawn back by
    /// strength x r x (weight - towards), r = (new distance - old distance) / new distance, 0 to 1.
    Selectively,
}

impl Pull {
    /// The same pull, with handles of its own.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        let towards = self.towards.as_ref().map(Tensor::shallow_clone);
        Pull { weight: self.weight.shallow_clone(), towards, strength: self.strength, acts: self.acts }
    }

    /// weight - towards, in new memory.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`crate::engine::guard`].
    pub fn offset(&self) -> Tensor {
        self.towards.as_ref().map_or_else(|| self.weight.detach().copy(), |towards| self.weight.detach() - towards)
    }

    /// strength / 2 x ||weight - towards||^2, without graph.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`crate::engine::guard`].
    pub fn penalty(&self) -> Tensor {
        0.5 * self.strength * self.offset().square().sum(self.weight.kind())
    }
}

/// Prefixes of tensor names in `last.safetensors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileNames {
    /// Before the names of the network's tensors.
    pub network: &'static str,
    /// Before the names of the method's state.
    pub state: &'static str,
}

impl FileNames {
    /// The network under its own names, the method's state under `objective.`.
    pub const OWN: FileNames = FileNames { network: "", state: "objective." };
}

/// A loss with its parts.
#[derive(Debug)]
pub struct ObjectiveLoss {
    /// What is differentiated: a scalar with graph.
    pub total: Tensor,
    /// The terms it is made of, before their weights, and figures of interest: scalars without graph, on the device.
    pub figures: Vec<(&'static str, Tensor)>,
}
