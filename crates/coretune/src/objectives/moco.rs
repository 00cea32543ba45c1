//! `MoCo` v2 (Chen et al. 2020, arXiv:2003.04297; method: He et al., CVPR 2020, arXiv:1911.05722).

use rand::seq::SliceRandom;
use serde::Deserialize;
use tch::{Tensor, no_grad};

use super::instance_discrimination::{DIM, with_figures};
use super::{
    FileNames, Method, Needs, Objective, ObjectiveLoss, Pass, PretrainingDefaults, Queue, QueueSize, Sharing, Sizes,
    Start,
};
use crate::engine::rows::unit_rows;
use crate::engine::{World, guard};
use crate::losses::info_nce;
use crate::models::{Encoder, Mode, ModelError, Network, Parameters, Role};
use crate::random::{Purpose, stream};
use crate::settings::{ANY, Kind, OnResume, Range, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "moco-v2",
    summary: "a momentum encoder and a queue of its keys",
    kind: RunKind::Pretraining,
    settings: &[DIM, QUEUE_SIZE, MOMENTUM, BN_GROUPS],
    defaults: &[],
    requires: &[],
    pretraining: Some(PretrainingDefaults { temperature: 0.2, least_area: 0.2, jitter: 0.5 }),
    build: |values| {
        let Settings { temperature, dim, queue_size, momentum, bn_groups } = values.read();
        let (queue_length, width, groups) = (queue_size, dim, bn_groups);
        Box::new(MoCo::new(MoCoSettings { temperature, momentum, queue_length, width, groups }))
    },
};

const PRETRAINING: &[RunKind] = &[RunKind::Pretraining];

const QUEUE_SIZE: Setting = setting("pretrain.queue_size", Kind::Whole(1, 16_777_216), "keys in the queue")
    .auto(queue_size_text)
    .on_resume(OnResume::Fixed)
    .read_by(PRETRAINING);

const MOMENTUM: Setting =
    setting("pretrain.momentum", Kind::Number(Range::Between(0.0, 1.0)), "momentum of the key encoder")
        .auto(momentum_text)
        .also_called(&["encoder_momentum"])
        .read_by(PRETRAINING);

const BN_GROUPS: Setting =
    setting("pretrain.bn_groups", Kind::Whole(1, ANY), "groups of a batch for batch norm, keys shuffled between them")
        .auto(bn_groups_text)
        .read_by(PRETRAINING);

/// The queue holds one key for so many images, so that an image is rarely its own negative.
const IMAGES_PER_KEY: usize = 8;
/// Longest queue.
const MOST_KEYS: usize = 65_536;

/// What `pretrain.queue_size = "auto"` becomes: a multiple of the batch.
pub(crate) fn queue_size(images: usize, batch: usize) -> usize {
    ((images / IMAGES_PER_KEY).min(MOST_KEYS) / batch).max(1) * batch
}

fn queue_size_text(_: RunKind) -> String {
    format!("1/{IMAGES_PER_KEY} of the images, at most {MOST_KEYS}")
}

/// Steps of a long run.
const LONG: usize = 100_000;

/// What `pretrain.momentum = "auto"` becomes: the shorter the run, the faster the key encoder has to follow.
pub(crate) fn momentum(steps: usize) -> f64 {
    if steps >= LONG { 0.999 } else { 0.99 }
}

fn momentum_text(_: RunKind) -> String {
    format!("{}, in runs of {LONG} steps or more {}", momentum(0), momentum(LONG))
}

/// Most images of a group: those of a device in the published runs.
const GROUP: usize = 32;

/// What `pretrain.bn_groups = "auto"` becomes: two or more, between which keys can be shuffled, if the batch can be
/// divided so; else 1.
///
/// Each rank has as many groups as every other.
pub(crate) fn bn_groups(batch: usize, ranks: usize) -> usize {
    let fits =
        |groups: &usize| groups.is_multiple_of(ranks) && batch.is_multiple_of(*groups) && batch / groups <= GROUP;
    (2..=batch / 2).find(fits).unwrap_or(ranks)
}

fn bn_groups_text(_: RunKind) -> String {
    format!("2 or more, of up to {GROUP} images each")
}

#[derive(Deserialize)]
struct Settings {
    temperature: f64,
    dim: i64,
    queue_size: i64,
    momentum: f64,
    bn_groups: usize,
}

/// The network that gradients train encodes the queries; a second encoder, which follows it, encodes the keys, and a
/// queue holds the keys of earlier batches.
#[derive(Debug)]
pub struct MoCo {
    settings: MoCoSettings,
    /// The key encoder and the queue, made by [`Objective::begin`].
    memory: Option<Memory>,
}

/// The numbers of `MoCo`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MoCoSettings {
    /// tau.
    pub temperature: f64,
    /// m: the key encoder becomes m of itself and 1 - m of the query encoder, before each step.
    pub momentum: f64,
    /// K.
    pub queue_length: i64,
    /// Width d of the projections, which are the keys.
    pub width: i64,
    /// Groups of a batch that batch norm sees one at a time, as if each lay on a device of its own. The keys are shuffled
    /// between them: a query and its key then hardly ever share their statistics, which would give the positive away.
    pub groups: usize,
}

#[derive(Debug)]
struct Memory {
    key: Encoder,
    queue: Queue,
    /// Keys of the batch whose gradient is being computed; they enter the queue afterwards.
    keys: Option<Tensor>,
}

impl MoCo {
    /// The method before its first step.
    pub fn new(settings: MoCoSettings) -> Self {
        MoCo { settings, memory: None }
    }

    /// The keys of earlier batches; none before [`Objective::begin`].
    pub fn queue(&self) -> Option<&Queue> {
        self.memory.as_ref().map(|memory| &memory.queue)
    }

    /// Projections of images, in so many groups, one after the other.
    fn in_groups(
        groups: usize,
        images: &Tensor,
        encode: impl Fn(&Tensor) -> Result<Tensor, ModelError>,
    ) -> Result<Tensor, ModelError> {
        let groups = guard("splitting a batch", || images.chunk(groups as i64, 0))?;
        let parts: Vec<Tensor> = groups.iter().map(encode).collect::<Result<_, _>>()?;
        Ok(guard("joining projections", || Tensor::cat(&parts, 0))?)
    }

    /// Groups of a batch that this process computes.
    fn own_groups(&self, world: World) -> usize {
        (self.settings.groups / world.ranks()).max(1)
    }

    /// Keys `[n, d]` of the images of all processes, without graph, each computed among others than its query was: the
    /// images are shuffled over the whole batch, and each process computes its groups of them.
    fn keys_of(
        &self,
        key: &Encoder,
        images: &Tensor,
        (seed, step): (u64, u64),
        world: World,
    ) -> Result<Tensor, ModelError> {
        if self.settings.groups == 1 {
            return no_grad(|| key.projections(images, Mode::Train));
        }
        let images = &world.gather(images, 1)?;
        let rows = images.size()[0];
        let mut order: Vec<i64> = (0..rows).collect();
        order.shuffle(&mut stream(seed, Purpose::ShuffledBatchNorm, 0, step));
        let mut place = vec![0; order.len()];
        for (position, &row) in order.iter().enumerate() {
            place[row as usize] = position as i64;
        }
        let (order, place) = (Tensor::from_slice(world.part(&order)), Tensor::from_slice(&place));
        let shuffled = guard("shuffling keys", || images.index_select(0, &order.to_device(images.device())))?;
        let encode = |group: &Tensor| key.projections(group, Mode::Train);
        let keys = no_grad(|| MoCo::in_groups(self.own_groups(world), &shuffled, encode))?;
        let keys = world.gather(&keys, 1)?;
        Ok(guard("shuffling keys", || keys.index_select(0, &place.to_device(keys.device())))?)
    }

    /// Queries `[n, d]` of images, with graph.
    fn queries_of(&self, pass: &Pass<'_>, images: &Tensor) -> Result<Tensor, ModelError> {
        MoCo::in_groups(self.own_groups(pass.world()), images, |group| {
            let features = pass.network.features(group, Mode::Train)?;
            Ok(guard("computing projections", || (pass.heads.projection)(&features))?)
        })
    }
}

impl Objective for MoCo {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    /// The keys have no gradient.
    fn needs(&self) -> Needs {
        Needs {
            gradient_passes: 1,
            forward_passes: 1,
            copies: 1,
            keeps_rows: true,
            sharing: Sharing::Images,
            ..Needs::TWO_VIEWS
        }
    }

    fn kept_rows(&self, _: &Sizes) -> Option<(QueueSize, &'static str)> {
        let queue = QueueSize { keys: self.settings.queue_length as usize, width: self.settings.width };
        Some((queue, "pretrain.queue_size"))
    }

    /// The key encoder begins as a copy of the query encoder, the queue with random keys.
    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        let key = Encoder::frozen_copy(start.network)?;
        let MoCoSettings { width, queue_length, .. } = self.settings;
        let queue = Queue::new(width, queue_length, start.seed, key.device())?;
        self.memory = Some(Memory { key, queue, keys: None });
        Ok(())
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let Memory { key, queue, .. } =
            self.memory.as_ref().expect("the trainer begins a method before its first step");
        let images = pass.images.size()[0] / 2;
        let (first, second) = (pass.images.narrow(0, 0, images), pass.images.narrow(0, images, images));
        momentum_update(&key.tensors(""), &pass.network.tensors(""), self.settings.momentum)?;
        let world = pass.world();
        let keys = self.keys_of(key, &second, pass.draw, world)?;
        let queries = self.queries_of(pass, &first)?;
        let temperature = self.settings.temperature;
        // The mean over this process's queries; the queue takes the keys of all.
        let own_keys = guard("choosing keys", || world.own_rows(&keys, 1))?;
        let loss = info_nce(&queries, &own_keys, queue.keys(), temperature)?;
        let keys = guard("normalising keys", || unit_rows(&keys))?;
        if let Some(memory) = &mut self.memory {
            memory.keys = Some(keys);
        }
        Ok(guard("computing figures", || with_figures(loss, &queries))?)
    }

    /// The queue takes the keys only now: the backward pass needs it as it was.
    fn updated(&mut self) -> Result<(), ModelError> {
        if let Some(Memory { queue, keys, .. }) = &mut self.memory
            && let Some(keys) = keys.take()
        {
            queue.push(&keys)?;
        }
        Ok(())
    }

    fn state(&self) -> Parameters {
        let mut list = Parameters::default();
        if let Some(Memory { key, queue, .. }) = &self.memory {
            list.extend_under("", &key.tensors("encoder_k."));
            let _ = list.add("queue".into(), queue.keys().shallow_clone(), Role::Buffer);
            let _ = list.add("queue_ptr".into(), queue.pointer().shallow_clone(), Role::Buffer);
        }
        list
    }

    fn names(&self) -> FileNames {
        FileNames { network: "module.encoder_q.", state: "module." }
    }
}

/// k <- m k + (1 - m) q over the weights, in place; each encoder has running statistics of its own. Both lists name the
/// same tensors in the same order.
///
/// # Errors
/// [`ModelError::Engine`] for exceptions of libtorch.
pub fn momentum_update(key: &Parameters, query: &Parameters, momentum: f64) -> Result<(), ModelError> {
    Ok(guard("following the query encoder", || {
        no_grad(|| {
            for (key, query) in key.iter().zip(query.iter()).filter(|(key, _)| key.role == Role::Weight) {
                let _ = key.tensor.shallow_clone().lerp_(&query.tensor, 1.0 - momentum);
            }
        });
    })?)
}
