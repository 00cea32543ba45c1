//! One step of training, as the algorithm box of the paper has it.

use std::ops::Range;

use tch::{Tensor, no_grad};

use super::figures::DeviceFigures;
use super::sharpness::{Held, climb};
use super::{ImageRows, Optimizer, RowSource, Rows};
use crate::data::Batch;
use crate::engine::ranks::RanksError;
use crate::engine::{EngineError, World, guard, transfer};
use crate::models::{Mode, ModelError, Network};
use crate::objectives::{Dense, Heads, Objective, ObjectiveLoss, Pass, Sharing};

/// How a batch that does not fit into memory is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulation {
    /// At once.
    Whole,
    /// Parts of so many images go through the network one at a time; mining and contrast see the whole batch, and the
    /// gradient is that of the whole batch. The forward pass is made twice. Batch norm takes its statistics from each
    /// part, unless it is frozen.
    Exact {
        /// Images of a part.
        part: usize,
    },
    /// Each part is a batch of its own, with its own pairs and its own loss; gradients are averaged. What the published
    /// script does.
    Split {
        /// Images of a part.
        part: usize,
    },
}

impl Accumulation {
    /// Refuses parts of a batch for a method that cannot be computed in them.
    ///
    /// # Errors
    /// [`ModelError::Indivisible`].
    pub fn check(self, objective: &dyn Objective) -> Result<(), ModelError> {
        let needs = objective.needs();
        let fits = match self {
            Accumulation::Whole => true,
            Accumulation::Exact { .. } => needs.can_be_divided(),
            Accumulation::Split { .. } => needs.views == 1,
        };
        if fits { Ok(()) } else { Err(ModelError::Indivisible { method: objective.name() }) }
    }
}

/// What the gradient of a step is computed from.
pub struct StepInput<'a> {
    /// The network that is trained.
    pub network: &'a dyn Network,
    /// What is minimised.
    pub objective: &'a mut dyn Objective,
    /// Images, and labels or masks.
    pub batch: &'a Batch,
    /// Where the rows come from; `None`: each image of the batch is one, with its label.
    pub rows: Option<&'a dyn RowSource>,
    /// Seed of the run and number of the step: what the objective's random draws depend on.
    pub draw: (u64, u64),
    /// How the batch is computed.
    pub accumulation: Accumulation,
    /// Weights `[C]` of the classes in the cross-entropy; `None`: all alike.
    pub class_weights: Option<&'a Tensor>,
    /// Labels `[n, C]` of images that were mixed with each other, those of all processes; `None`: no image was.
    pub soft_targets: Option<Tensor>,
    /// Radius of sharpness-aware minimisation: the gradient is that at the weights moved so far uphill; `None`: at the
    /// weights themselves.
    pub sharpness: Option<f64>,
    /// The processes that share the step.
    pub world: World,
}

/// Forward, loss, backward, update. Nothing is read back from the device: the figures stay there.
///
/// # Errors
/// [`ModelError`] for images or shapes that do not fit and for exceptions of libtorch.
pub fn step(mut input: StepInput<'_>, optimizer: &mut Optimizer, rate: f64) -> Result<DeviceFigures, ModelError> {
    input.objective.before_step(input.network, input.draw)?;
    let weights = optimizer.weights();
    let moving: Vec<&Tensor> = weights.iter().copied().filter(|weight| weight.requires_grad()).collect();
    let (mut of_moving, figures) = gradients(&mut input, &moving)?;
    if let Some(radius) = input.sharpness {
        of_moving = gradients_uphill(&mut input, &moving, of_moving, radius)?;
    }
    let mut of_moving = of_moving.into_iter();
    // A weight that rests for a part of the run has no gradient.
    let of_weight =
        |weight: &&Tensor| weight.requires_grad().then(|| of_moving.next()).flatten().unwrap_or_else(Tensor::new);
    let gradients: Vec<Tensor> = weights.iter().map(of_weight).collect();
    update(input.world, optimizer, gradients, rate)?;
    input.objective.updated()?;
    Ok(figures)
}

/// The gradients once more, at weights that were moved uphill by `radius` along the first ones. Nothing else remains of the
/// second pass.
fn gradients_uphill(
    input: &mut StepInput<'_>,
    weights: &[&Tensor],
    mut first: Vec<Tensor>,
    radius: f64,
) -> Result<Vec<Tensor>, ModelError> {
    let held = Held::of(weights, input.network, &*input.objective)?;
    input.world.sum(&mut first)?;
    climb(weights, &first, radius)?;
    input.objective.drop_pending();
    // Also if the second pass fails, the weights must be those of the last step.
    let second = gradients(input, weights);
    held.restore()?;
    Ok(second?.0)
}

/// What a step does one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The images are sent to the device.
    Copy,
    /// The features are computed.
    Forward,
    /// The heads and the loss are computed.
    Loss,
    /// The gradients are computed.
    Backward,
    /// The weights are updated.
    Update,
}

/// [`step`] on a whole batch of a method that reads features alone; `ended` is called at the end of each phase.
///
/// # Errors
/// As [`step`].
pub fn step_in_phases(
    mut input: StepInput<'_>,
    optimizer: &mut Optimizer,
    rate: f64,
    ended: &mut dyn FnMut(Phase),
) -> Result<DeviceFigures, ModelError> {
    let network = input.network;
    input.objective.before_step(network, input.draw)?;
    let images = guard("sending images", || transfer::to_device(&input.batch.images, network.device()))?;
    ended(Phase::Copy);
    let features = network.features(&images, Mode::Train)?;
    ended(Phase::Forward);
    let rows = Rows { features, labels: input.batch.labels.clone(), dense: None };
    let loss = input.loss(&images, &rows.labels, Some(&rows), input.draw)?;
    ended(Phase::Loss);
    let weights = optimizer.weights();
    let (gradients, figures) = guard("computing gradients", || {
        (Tensor::run_backward(&[&loss.total], &weights, false, false), DeviceFigures::gather(&loss))
    })?;
    ended(Phase::Backward);
    update(input.world, optimizer, gradients, rate)?;
    input.objective.updated()?;
    ended(Phase::Update);
    Ok(figures)
}

/// Sums the gradients over all processes and updates the weights with them.
fn update(world: World, optimizer: &mut Optimizer, mut gradients: Vec<Tensor>, rate: f64) -> Result<(), ModelError> {
    world.sum(&mut gradients)?;
    Ok(guard("updating the weights", || optimizer.update(rate, gradients))?)
}

/// The gradient of a batch's loss with respect to each of `weights` (undefined where the loss does not depend on it), and
/// the figures of the loss.
///
/// # Errors
/// As [`step`].
pub fn gradients(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    input.accumulation.check(input.objective)?;
    if !input.world.is_alone() {
        return of_ranks(input, weights);
    }
    match input.accumulation {
        Accumulation::Whole => whole(input, weights),
        Accumulation::Exact { part } => exact(input, weights, part),
        Accumulation::Split { part } => split(input, weights, part),
    }
}

/// This rank's gradients: those of all ranks add up to the gradient of the global batch.
fn of_ranks(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    check_sharing(input.world, input.objective, input.accumulation)?;
    match (input.objective.needs().shared_as(), input.accumulation) {
        (_, Accumulation::Split { part }) => split(input, weights, part),
        (Sharing::Images, _) => of_own_images(input, weights),
        (Sharing::RowsAndMaps, _) => of_rows_and_maps(input, weights),
        (_, Accumulation::Exact { part }) => exact(input, weights, part),
        _ => exact(input, weights, input.images()),
    }
}

/// Refuses what several ranks cannot compute together.
///
/// # Errors
/// [`RanksError::Undealt`].
pub fn check_sharing(world: World, objective: &dyn Objective, accumulation: Accumulation) -> Result<(), EngineError> {
    let needs = objective.needs();
    let refuse = |what: String| Err(RanksError::Undealt { what }.into());
    match (needs.shared_as(), accumulation) {
        _ if world.is_alone() => Ok(()),
        (Sharing::None, _) => refuse(format!("the method {} with these settings", objective.name())),
        (_, Accumulation::Split { .. }) if needs.keeps_rows => {
            refuse(format!("accumulation by split, with what {} keeps of earlier batches,", objective.name()))
        }
        (Sharing::Images | Sharing::RowsAndMaps, Accumulation::Exact { .. }) => {
            refuse(format!("accumulation with {}", objective.name()))
        }
        _ => Ok(()),
    }
}

/// The mean over this rank's images, as a part of the mean over those of all ranks.
fn of_own_images(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let Batch { images, labels, .. } = input.batch;
    let soft_targets = input.soft_targets.take();
    input.soft_targets = own_targets(soft_targets.as_ref(), input.world)?;
    let loss = input.loss(images, labels, None, input.draw)?;
    input.soft_targets = soft_targets;
    let fraction = 1.0 / input.world.ranks() as f64;
    let (gradients, figures) = guard("computing gradients", || {
        let part = &loss.total * fraction;
        (Tensor::run_backward(&[&part], weights, false, false), DeviceFigures::gather(&loss))
    })?;
    Ok((gradients, figures.mean_over(input.world)?))
}

/// The loss of the rows of all ranks, and beside it what the method adds for the maps of this rank's images, as a part of the
/// mean over those of all ranks. The images go through the network once.
fn of_rows_and_maps(
    input: &mut StepInput<'_>,
    weights: &[&Tensor],
) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let (Batch { images, labels, .. }, world) = (input.batch, input.world);
    let (features, of_maps) = input.with_pass(images, labels, None, input.draw, |objective, pass| {
        Ok((pass.features()?.shallow_clone(), objective.loss_of_maps(pass)?))
    })?;
    let rows = || Rows { features: features.shallow_clone(), labels: labels.clone(), dense: None };
    let (mut gradients, of_leaves, figures) = gradients_of_rows(input, weights, rows())?;
    let part = guard("adding the part of the maps", || {
        let of_rows = rows().replayed(&of_leaves, (0, labels.len() as i64), 1);
        of_rows + &of_maps.total / world.ranks() as f64
    })?;
    if part.requires_grad() {
        guard("computing gradients", || {
            add(&mut gradients, Tensor::run_backward(&[&part], weights, false, false));
        })?;
    }
    let of_maps = guard("collecting figures", || DeviceFigures::gather(&of_maps))?.mean_over(world)?;
    Ok((gradients, guard("adding figures", || figures.plus(&of_maps))?))
}

/// Of the mixed labels of all processes those of this one's images.
fn own_targets(all: Option<&Tensor>, world: World) -> Result<Option<Tensor>, EngineError> {
    all.map(|all| guard("choosing labels", || world.own_rows(all, 1))).transpose()
}

fn whole(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let Batch { images, labels, .. } = input.batch;
    let rows = input.rows.map(|source| source.rows(0..input.images(), input.mode())).transpose()?;
    let loss = match &rows {
        None => input.loss(images, labels, None, input.draw)?,
        Some(rows) => input.loss(images, &rows.labels, Some(rows), input.draw)?,
    };
    let (gradients, figures) = guard("computing gradients", || {
        let gradients = Tensor::run_backward(&[&loss.total], weights, false, false);
        (gradients, DeviceFigures::gather(&loss))
    })?;
    Ok((
        gradients,
        match &rows {
            Some(rows) => figures.counting(rows),
            None => figures,
        },
    ))
}

/// Rows first, without graph; then the gradient of the loss with respect to them; then the network again, part by part,
/// with that gradient. A single part keeps its graph and goes through the network once.
///
/// The rows are those of all processes. Each computes the same loss, and replays its own rows.
fn exact(
    input: &mut StepInput<'_>,
    weights: &[&Tensor],
    part: usize,
) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let of_images = ImageRows { network: input.network, batch: input.batch };
    let (source, views) = (input.rows.unwrap_or(&of_images), input.objective.needs().views);
    let (mode, parts) = (input.mode(), parts(input.images(), part));
    let is_whole = parts.len() == 1;
    let first_pass = |part| {
        if is_whole { source.rows(part, mode) } else { no_grad(|| source.rows(part, Mode::TrainUntracked)) }
    };
    let of_parts: Vec<(Range<usize>, Rows)> =
        parts.into_iter().map(|part| Ok((part.clone(), first_pass(part)?))).collect::<Result<_, ModelError>>()?;
    let own = guard("joining rows", || Rows::join(of_parts.iter().map(|(_, rows)| rows), views))?;
    let (mut gradients, of_leaves, figures) = gradients_of_rows(input, weights, own)?;
    if of_leaves.iter().all(|gradient| !gradient.defined()) {
        // The loss does not depend on the network: only heads learn.
        return Ok((gradients, figures));
    }
    let mut first = 0;
    for (part, earlier) in of_parts {
        let count = earlier.features.size()[0] / views as i64;
        let again = if is_whole { earlier } else { source.again(part, &earlier)? };
        let replayed =
            guard("replaying the gradient of the rows", || again.replayed(&of_leaves, (first, count), views))?;
        first += count;
        if !replayed.requires_grad() {
            // The whole network is frozen: only the heads learn, and their gradients are complete.
            break;
        }
        guard("computing gradients", || {
            add(&mut gradients, Tensor::run_backward(&[&replayed], weights, false, false));
        })?;
    }
    Ok((gradients, figures))
}

/// The gradients of the loss of the rows of all processes: with respect to the weights of the heads, which count once in the
/// sum over the processes, and to what [`Rows::make_leaves`] makes of this process's rows `own`; and the figures of the loss.
fn gradients_of_rows(
    input: &mut StepInput<'_>,
    weights: &[&Tensor],
    own: Rows,
) -> Result<(Vec<Tensor>, Vec<Tensor>, DeviceFigures), ModelError> {
    let (world, views) = (input.world, input.objective.needs().views);
    let (mut rows, own) = own.gathered(world, input.images(), views)?;
    let leaves = rows.make_leaves();
    let loss = input.loss(&input.batch.images, &rows.labels, Some(&rows), input.draw)?;
    let inputs: Vec<&Tensor> = weights.iter().copied().chain(&leaves).collect();
    // Of the weights, only the heads' lie between the rows and the loss.
    let (mut gradients, figures) = guard("computing the gradient of the rows", || {
        let gradients = Tensor::run_backward(&[&loss.total], &inputs, false, false);
        (gradients, DeviceFigures::gather(&loss).counting(&rows))
    })?;
    let of_leaves = gradients.split_off(weights.len());
    if !world.is_first() {
        // Every rank has the whole gradient of the heads.
        guard("leaving the heads to rank 0", || {
            gradients
                .iter_mut()
                .filter(|gradient| gradient.defined())
                .for_each(|gradient| *gradient = gradient.zeros_like());
        })?;
    }
    let of_leaves = guard("choosing rows", || own_rows(of_leaves, own.as_ref()))?;
    Ok((gradients, of_leaves, figures))
}

/// The gradients with respect to the leaves, of the rows those of `own` alone; that of the cross-entropy of pixels is one number.
fn own_rows(mut of_leaves: Vec<Tensor>, own: Option<&Tensor>) -> Vec<Tensor> {
    if let (Some(own), Some(rows)) = (own, of_leaves.first_mut().filter(|rows| rows.defined())) {
        *rows = rows.index_select(0, own);
    }
    of_leaves
}

fn split(
    input: &mut StepInput<'_>,
    weights: &[&Tensor],
    part: usize,
) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let Batch { images, labels, .. } = input.batch;
    if input.rows.is_some() {
        return Err(ModelError::Indivisible { method: input.objective.name() });
    }
    let ((seed, step), world) = (input.draw, input.world);
    let parts = parts(labels.len(), part);
    // The parts of all processes, of which this one has the next in a row.
    let (count, first) = ((parts.len() * world.ranks()) as u64, (parts.len() * world.rank()) as u64);
    let mut gradients: Vec<Tensor> = weights.iter().map(|_| Tensor::new()).collect();
    let mut figures = Vec::new();
    let soft_targets = input.soft_targets.take();
    let own_targets = own_targets(soft_targets.as_ref(), world)?;
    for (number, rows) in parts.iter().enumerate() {
        input.soft_targets = own_targets.as_ref().map(|targets| rows_of(targets, rows));
        // Every part draws its own numbers.
        let draw = (seed, step * count + first + number as u64);
        let loss = input.loss(&rows_of(images, rows), &labels[rows.clone()], None, draw)?;
        figures.push(guard("computing gradients", || {
            let fraction = &loss.total * (rows.len() as f64 / (world.ranks() * labels.len()) as f64);
            add(&mut gradients, Tensor::run_backward(&[&fraction], weights, false, false));
            DeviceFigures::gather(&loss)
        })?);
    }
    input.soft_targets = soft_targets;
    let figures = guard("averaging figures", || DeviceFigures::mean(&figures))?;
    Ok((gradients, figures.mean_over(world)?))
}

/// The rows of each part; the last may be short.
fn parts(rows: usize, part: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(part.max(1)).map(|start| start..(start + part.max(1)).min(rows)).collect()
}

fn rows_of(tensor: &Tensor, rows: &Range<usize>) -> Tensor {
    tensor.narrow(0, rows.start as i64, rows.len() as i64)
}

/// Adds gradients to those so far, of which any may be undefined.
fn add(sums: &mut [Tensor], gradients: Vec<Tensor>) {
    for (sum, gradient) in sums.iter_mut().zip(gradients) {
        match (sum.defined(), gradient.defined()) {
            (_, false) => {}
            (false, true) => *sum = gradient,
            (true, true) => drop(sum.g_add_(&gradient)),
        }
    }
}

impl<'a> StepInput<'a> {
    /// A step of one process on a whole batch.
    pub fn new(network: &'a dyn Network, objective: &'a mut dyn Objective, batch: &'a Batch, draw: (u64, u64)) -> Self {
        let (accumulation, world) = (Accumulation::Whole, World::Alone);
        StepInput {
            network,
            objective,
            batch,
            rows: None,
            draw,
            accumulation,
            class_weights: None,
            soft_targets: None,
            sharpness: None,
            world,
        }
    }

    /// The same step, with weights `[C]` of the classes in the cross-entropy.
    #[must_use]
    pub fn weighted(mut self, class_weights: Option<&'a Tensor>) -> Self {
        self.class_weights = class_weights;
        self
    }

    /// The same step on images that were mixed with each other, with these labels `[n, C]`.
    #[must_use]
    pub fn mixed(mut self, soft_targets: Option<Tensor>) -> Self {
        self.soft_targets = soft_targets;
        self
    }

    /// The same step with sharpness-aware minimisation of this radius.
    #[must_use]
    pub fn sharpness_aware(mut self, radius: Option<f64>) -> Self {
        self.sharpness = radius;
        self
    }

    /// The same step, with its batch computed in another way.
    #[must_use]
    pub fn accumulated(mut self, accumulation: Accumulation) -> Self {
        self.accumulation = accumulation;
        self
    }

    /// The same step, shared by these processes, each of which has a batch of its own.
    #[must_use]
    pub fn shared_by(mut self, world: World) -> Self {
        self.world = world;
        self
    }

    /// Shows the batch to the objective before the first step ([`Objective::prepare`]).
    ///
    /// # Errors
    /// As [`step`].
    pub fn prepare(&mut self) -> Result<(), ModelError> {
        let Batch { images, labels, .. } = self.batch;
        self.with_pass(images, labels, None, self.draw, Objective::prepare)
    }

    /// How the network computes rows in this step.
    fn mode(&self) -> Mode {
        if self.objective.network_rests(self.draw.1) { Mode::TrainUntracked } else { Mode::Train }
    }

    /// Images of the batch, in one view.
    fn images(&self) -> usize {
        self.batch.indices.len()
    }

    /// The same step on rows of another source.
    #[must_use]
    pub fn with_rows(mut self, rows: &'a dyn RowSource) -> Self {
        self.rows = Some(rows);
        self
    }

    /// The objective on images, or on rows that were computed before.
    fn loss(
        &mut self,
        images: &Tensor,
        labels: &[i64],
        rows: Option<&Rows>,
        draw: (u64, u64),
    ) -> Result<ObjectiveLoss, ModelError> {
        let dense = rows.and_then(|rows| rows.dense.as_ref());
        let mut loss = match dense {
            // Without a labelled position nothing can be compared; the cross-entropy is what is left.
            Some(dense) if labels.is_empty() => dense.alone(),
            _ => self.with_pass(images, labels, rows, draw, Objective::loss)?,
        };
        let of_pixels = dense.iter().flat_map(|dense| &dense.figures);
        loss.figures.extend(of_pixels.map(|(name, value)| (*name, value.shallow_clone())));
        Ok(loss)
    }

    /// Makes the objective's pass over images and hands it to `use_pass`.
    fn with_pass<R>(
        &mut self,
        images: &Tensor,
        labels: &[i64],
        rows: Option<&Rows>,
        draw: (u64, u64),
        use_pass: impl FnOnce(&mut (dyn Objective + 'a), &Pass<'_>) -> Result<R, ModelError>,
    ) -> Result<R, ModelError> {
        let network = self.network;
        // `Needs` were checked when the learner was made: a head that is missing here is not asked for.
        let heads = Heads {
            classifier: &|rows| network.classifier().map_or_else(Tensor::new, |head| head.forward(rows)),
            projection: &|rows| network.projection().map_or_else(|| rows.shallow_clone(), |head| head.forward(rows)),
        };
        let mut pass = Pass::new(network, heads, images, labels, draw, self.world)
            .in_step(self.draw.1)
            .weighted(self.class_weights)
            .mixed(self.soft_targets.as_ref());
        if self.objective.needs().stage_maps {
            pass = pass.keeping_maps();
        }
        if self.mode() == Mode::TrainUntracked {
            pass = pass.at_rest();
        }
        if let Some(rows) = rows {
            pass = pass.with_features(&rows.features);
        }
        if let Some(dense) = rows.and_then(|rows| rows.dense.as_ref()) {
            pass = pass.with_dense(Dense { cross_entropy: &dense.cross_entropy, images: &dense.images });
        }
        guard("computing the loss", || use_pass(&mut *self.objective, &pass))?
    }
}
