//! Core-tuning as a run carries it out: which rows a step has, how eta is set, and what is kept from step to step.

use serde::Deserialize;
use tch::{Kind as Type, Tensor, no_grad};

use super::core_tuning::{PairScheme, Terms, WORD};
use super::supervised_contrastive::{ETA, TEMPERATURE};
use super::{
    CoreTuning, FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, ProjectionMemory, QueueSize, Sizes,
    Start, figure,
};
use crate::engine::{EngineError, guard};
use crate::losses::Focus;
use crate::mining::MixDraws;
use crate::models::{ModelError, Parameters, Role};
use crate::settings::{Kind, OnResume, Range, RunKind, Setting, choice, off, setting};

pub(super) const METHOD: Method = Method {
    word: WORD,
    summary: "focal contrast on mixed hard pairs, and a classifier smoothed on the mixed features",
    kind: RunKind::FineTuning,
    settings: &[
        PAIRS,
        ETA,
        ETA_RATIO,
        ETA_SCHEDULE,
        ALPHA,
        TEMPERATURE,
        FOCAL,
        DETACH_FOCAL,
        CLEAN_WEIGHT,
        MIXED_WEIGHT,
        HARD_POSITIVE_FLOOR,
        PROJECTION_FIRST,
        TWO_VIEWS,
        MEMORY,
    ],
    defaults: &[],
    requires: &[],
    pretraining: None,
    build: |values| {
        let settings: Settings = values.read();
        Box::new(CoreTuningRun::new(settings.formula(values.label_smoothing), settings.run()))
    },
};

const PAIRS: Setting = setting("method.pairs", Kind::Choice(PairScheme::names), "pair scheme of core-tuning")
    .default(PairScheme::Own.name());

const ETA_RATIO: Setting = setting(
    "method.eta_ratio",
    Kind::Number(Range::Above(0.0)),
    "in place of eta: norm of the contrastive gradient at the features, relative to that of the cross-entropy",
)
.off()
.on_resume(OnResume::Fixed);

const ETA_SCHEDULE: Setting =
    setting("method.eta_schedule", Kind::Choice(EtaSchedule::names), "how eta falls to 0 over the run")
        .default(EtaSchedule::Constant.name());

const ALPHA: Setting =
    setting("method.alpha", Kind::Number(Range::Above(0.0)), "mixing is drawn from Beta(alpha, alpha)")
        .default("1.0")
        .also_called(&["mixup_alpha"]);

const FOCAL: Setting =
    setting("method.focal", Kind::Number(Range::ZeroOrBetween(1.0, 10.0)), "exponent of the focal weight; 0: none")
        .default("1.0");

const DETACH_FOCAL: Setting =
    setting("method.detach_focal", Kind::Switch, "no gradient through the focal weight").default("false");

const CLEAN_WEIGHT: Setting =
    setting("method.clean_weight", Kind::Number(Range::Above(0.0)), "weight of the original rows in the cross-entropy")
        .default("1.0");

const MIXED_WEIGHT: Setting =
    setting("method.mixed_weight", Kind::Number(Range::From(0.0)), "weight of the mixed rows in the cross-entropy")
        .default("1.0");

const HARD_POSITIVE_FLOOR: Setting = setting(
    "method.hard_positive_floor",
    Kind::Number(Range::Between(0.0, 1.0)),
    "least fraction of the positive in a hard positive, as 0.8 is in a semi-hard negative",
)
.default("0.0");

const PROJECTION_FIRST: Setting = setting(
    "method.projection_first",
    Kind::Number(Range::FromBelow(0.0, 1.0)),
    "fraction of the steps that train the projection head alone",
)
.default("0.0");

const TWO_VIEWS: Setting =
    setting("method.two_views", Kind::Switch, "two augmented views of each image in a batch").default("false");

const MEMORY: Setting = setting(
    "method.memory",
    Kind::Whole(0, 1_048_576),
    "projections of earlier batches that anchors are compared with too",
)
.default("0")
.on_resume(OnResume::Fixed);

#[derive(Deserialize)]
struct Settings {
    pairs: PairScheme,
    eta: f64,
    alpha: f64,
    temperature: f64,
    focal: f64,
    detach_focal: bool,
    clean_weight: f64,
    mixed_weight: f64,
    hard_positive_floor: f64,
    #[serde(with = "off")]
    eta_ratio: Option<f64>,
    eta_schedule: EtaSchedule,
    projection_first: f64,
    two_views: bool,
    memory: i64,
}

impl Settings {
    fn formula(&self, label_smoothing: f64) -> CoreTuning {
        let &Settings { pairs, eta, alpha, temperature, focal, detach_focal, .. } = self;
        let &Settings { clean_weight, mixed_weight, hard_positive_floor, .. } = self;
        let focus = Focus { exponent: focal, detached: detach_focal };
        CoreTuning {
            pairs,
            eta,
            alpha,
            temperature,
            focus,
            label_smoothing,
            clean_weight,
            mixed_weight,
            hard_positive_floor,
        }
    }

    fn run(&self) -> RunSettings {
        let &Settings { eta_ratio, eta_schedule, projection_first, two_views, memory, .. } = self;
        RunSettings { eta_ratio, eta_schedule, projection_first, two_views, memory }
    }
}

choice! {
    /// How the weight of the contrastive loss changes over the run.
    EtaSchedule {
        /// Not at all.
        Constant = "constant",
        /// Half a cosine down to 0.
        Cosine = "cosine",
        /// In a straight line down to 0.
        Linear = "linear",
    }
}

impl EtaSchedule {
    /// Factor on eta in this step of so many.
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        let done = (step as f64 / steps.max(1) as f64).min(1.0);
        match self {
            EtaSchedule::Constant => 1.0,
            EtaSchedule::Cosine => f64::midpoint(1.0, (std::f64::consts::PI * done).cos()),
            EtaSchedule::Linear => 1.0 - done,
        }
    }
}

/// What a run of Core-tuning has beside the formula. [`RunSettings::PLAIN`] is the method as published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunSettings {
    /// r: eta is set so that the contrastive gradient at the features has r times the norm of the cross-entropy's.
    pub eta_ratio: Option<f64>,
    /// How eta falls.
    pub eta_schedule: EtaSchedule,
    /// Fraction of the steps that train G_c alone, on features without gradient.
    pub projection_first: f64,
    /// Whether a batch has two views of each image; each is an anchor, and the other one its positive.
    pub two_views: bool,
    /// Projections of earlier batches that are kept.
    pub memory: i64,
}

impl RunSettings {
    /// One view, a constant eta, all weights trained from the first step, no memory.
    pub const PLAIN: RunSettings = RunSettings {
        eta_ratio: None,
        eta_schedule: EtaSchedule::Constant,
        projection_first: 0.0,
        two_views: false,
        memory: 0,
    };
}

/// Core-tuning with the extras of [`RunSettings`].
#[derive(Debug)]
pub struct CoreTuningRun {
    formula: CoreTuning,
    settings: RunSettings,
    /// Steps of the run, and the first that trains more than G_c; set by [`Objective::begin`].
    steps: u64,
    first_joint: u64,
    norms: Option<GradientNorms>,
    memory: Option<ProjectionMemory>,
    /// Projections of the batch whose gradient is being computed, with its labels; they enter the memory afterwards.
    pending: Vec<(Tensor, Vec<i64>)>,
}

/// Mean norms of the gradients of both terms at the features, averaged over the steps: f32 scalars on the device.
///
/// Both begin at 0 and keep 0.9 of themselves in each step, so that their quotient has no bias.
#[derive(Debug)]
struct GradientNorms {
    classification: Tensor,
    contrastive: Tensor,
}

impl GradientNorms {
    /// Weight of the past in the averages.
    const DECAY: f64 = 0.9;

    /// Adds a step, whose terms depend on `features`, and gives the quotient of the averages: the eta of ratio 1. It is 0 while the
    /// contrastive loss had no gradient yet.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`guard`].
    fn follow(&mut self, terms: &Terms, features: &Tensor) -> Tensor {
        no_grad(|| {
            let _ = self.classification.lerp_(&mean_norm(&terms.classification, features), 1.0 - Self::DECAY);
            let _ = self.contrastive.lerp_(&mean_norm(&terms.contrastive, features), 1.0 - Self::DECAY);
            let has_gradient = self.contrastive.gt(0.0);
            let quotient = &self.classification / self.contrastive.clamp_min(f64::from(f32::MIN_POSITIVE));
            quotient * has_gradient.to_kind(Type::Float)
        })
    }
}

/// Mean over the rows of ||d term / d f||; the graph stays.
fn mean_norm(term: &Tensor, features: &Tensor) -> Tensor {
    // Without anything to learn from, such as when all projections are constant, there is no graph.
    let gradient = term.requires_grad().then(|| Tensor::run_backward(&[term], &[features], true, false).remove(0));
    match gradient.filter(Tensor::defined) {
        Some(gradient) => gradient.norm_scalaropt_dim(2.0, [1i64].as_slice(), false).mean(Type::Float),
        None => Tensor::zeros([], (Type::Float, features.device())),
    }
}

impl CoreTuningRun {
    /// The method before its first step.
    pub fn new(formula: CoreTuning, settings: RunSettings) -> Self {
        CoreTuningRun { formula, settings, steps: 0, first_joint: 0, norms: None, memory: None, pending: Vec::new() }
    }

    /// The loss of a step in which all weights are trained, with the random numbers given.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn joint_loss(
        &mut self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        draws: &MixDraws,
        step: u64,
    ) -> Result<ObjectiveLoss, EngineError> {
        let terms = self.formula.terms(batch, heads, draws, self.memory.as_ref())?;
        let factor = self.settings.eta_schedule.factor(step, self.steps);
        let mut loss = guard("weighing the contrastive loss", || {
            let eta = self.settings.eta_ratio.zip(self.norms.as_mut()).map(|(ratio, norms)| {
                let of_ratio_one = norms.follow(&terms, batch.features);
                ratio * factor * of_ratio_one
            });
            let contrast = match &eta {
                Some(eta) => eta.to_kind(terms.contrastive.kind()) * &terms.contrastive,
                None => factor * self.formula.eta * &terms.contrastive,
            };
            let figures = eta.map(|eta| (figure::ETA, eta)).into_iter().collect();
            ObjectiveLoss { total: &terms.classification + contrast, figures }
        })?;
        loss.figures.extend(terms.figures);
        self.keep(&terms.projections, batch.labels);
        Ok(loss)
    }

    /// The contrastive loss alone, on features without gradient: it trains G_c.
    fn projection_loss(
        &mut self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        draws: &MixDraws,
    ) -> Result<ObjectiveLoss, EngineError> {
        let mixed = self.formula.mix(batch, draws)?;
        let projections = guard("computing projections", || heads.project(&mixed.rows))?;
        let total = self.formula.contrast(batch, &projections, &mixed, self.memory.as_ref())?;
        self.keep(&projections.narrow(0, 0, batch.labels.len() as i64), batch.labels);
        let figures = vec![(figure::CONTRASTIVE, total.detach())];
        Ok(ObjectiveLoss { total, figures })
    }

    fn keep(&mut self, projections: &Tensor, labels: &[i64]) {
        if self.memory.is_some() {
            self.pending.push((projections.detach(), labels.to_vec()));
        }
    }
}

impl Objective for CoreTuningRun {
    fn name(&self) -> &'static str {
        self.formula.name()
    }

    fn needs(&self) -> Needs {
        let keeps_rows = self.settings.memory > 0 || self.settings.eta_ratio.is_some();
        let needs = Needs { keeps_rows, ..self.formula.needs() };
        if self.settings.two_views {
            return Needs { views: 2, gradient_passes: 2, divisible: false, ..needs };
        }
        needs
    }

    fn kept_rows(&self, sizes: &Sizes) -> Option<(QueueSize, &'static str)> {
        let queue = QueueSize { keys: self.settings.memory as usize, width: sizes.projections };
        (self.settings.memory > 0).then_some((queue, MEMORY.key))
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        self.steps = start.steps;
        self.first_joint = (self.settings.projection_first * start.steps as f64).round() as u64;
        let head = start.network.projection().ok_or(ModelError::MissingHead { layer: "projection head" })?;
        let device = head.device();
        if self.settings.eta_ratio.is_some() {
            let zero = || Tensor::zeros([], (Type::Float, device));
            self.norms = Some(guard("building the averages of gradients", || GradientNorms {
                classification: zero(),
                contrastive: zero(),
            })?);
        }
        if self.settings.memory > 0 {
            self.memory = Some(ProjectionMemory::new(self.settings.memory, head.outputs(), device)?);
        }
        Ok(())
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let projection_alone = self.network_rests(pass.step);
        let features = if projection_alone { pass.features_without_graph()? } else { pass.features()?.shallow_clone() };
        let features = self.with_gradient(features, projection_alone);
        let labels = pass.labels.repeat(self.needs().views);
        let batch = FeatureBatch { labels: &labels, ..pass.batch_of(&features) };
        let draws = self.formula.draws(&labels, batch.draw)?;
        if projection_alone {
            return Ok(self.projection_loss(&batch, &pass.heads, &draws)?);
        }
        Ok(self.joint_loss(&batch, &pass.heads, &draws, pass.step)?)
    }

    /// The memory takes the projections only now: the backward pass needs it as it was.
    fn updated(&mut self) -> Result<(), ModelError> {
        for (projections, labels) in std::mem::take(&mut self.pending) {
            if let Some(memory) = &mut self.memory {
                memory.push(&projections, &labels)?;
            }
        }
        Ok(())
    }

    fn drop_pending(&mut self) {
        self.pending.clear();
    }

    fn state(&self) -> Parameters {
        let mut list = Parameters::default();
        let mut add = |name: &str, tensor: &Tensor| drop(list.add(name.into(), tensor.shallow_clone(), Role::Buffer));
        if let Some(GradientNorms { classification, contrastive }) = &self.norms {
            add("gradient.classification", classification);
            add("gradient.contrastive", contrastive);
        }
        if let Some(memory) = &self.memory {
            add("memory.projections", memory.rows().projections);
            add("memory.labels", memory.rows().labels);
            add("memory.next", memory.next());
        }
        list
    }

    fn network_rests(&self, step: u64) -> bool {
        step < self.first_joint
    }

    /// All weights but the projection head's rest while it is trained alone.
    fn rests_until(&self, name: &str) -> u64 {
        if name.starts_with("projection.") { 0 } else { self.first_joint }
    }
}

impl CoreTuningRun {
    /// Features that gradients can be measured at, also when the whole backbone is frozen.
    fn with_gradient(&self, features: Tensor, projection_alone: bool) -> Tensor {
        let measured = self.norms.is_some() && !projection_alone;
        if measured && !features.requires_grad() { features.detach().set_requires_grad(true) } else { features }
    }
}
