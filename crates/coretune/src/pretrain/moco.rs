//! `MoCo` v2 (Chen et al. 2020, arXiv:2003.04297; method: He et al., CVPR 2020, arXiv:1911.05722).

use rand::seq::SliceRandom;
use tch::{Tensor, no_grad};

use super::Queue;
use super::method::{Method, with_figures};
use crate::engine::guard;
use crate::losses::info_nce;
use crate::mining::unit_rows;
use crate::models::{Encoder, Mode, ModelError, Parameters, Role};
use crate::objectives::ObjectiveLoss;
use crate::random::{Purpose, stream};

/// Two encoders, of which the second follows the first, and a queue of the second's keys.
#[derive(Debug)]
pub struct MoCo {
    query: Encoder,
    key: Encoder,
    queue: Queue,
    settings: MoCoSettings,
    /// Keys of the batch whose gradient is under way; they enter the queue afterwards.
    keys: Option<Tensor>,
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
    /// Groups of a batch that batch norm sees one at a time, as if each lay on a device of its own. The keys are shuffled
    /// between them: a query and its key then hardly ever share their statistics, which would give the positive away.
    pub groups: usize,
    /// Seed of the shuffling and of the queue's first keys.
    pub seed: u64,
}

impl MoCo {
    /// The key encoder begins as a copy of the query encoder.
    pub fn new(query: Encoder, key: Encoder, settings: MoCoSettings) -> Result<Self, ModelError> {
        key.copy_from(&query)?;
        for parameter in key.parameters("").iter().filter(|parameter| parameter.role == Role::Weight) {
            let _ = parameter.tensor.set_requires_grad(false);
        }
        let queue = Queue::new(query.projection.outputs(), settings.queue_length, settings.seed, query.device())?;
        Ok(MoCo { query, key, queue, settings, keys: None })
    }

    /// Changes both encoders, as in freezing their batch norm.
    pub fn for_each_encoder(&mut self, mut change: impl FnMut(&mut Encoder)) {
        change(&mut self.query);
        change(&mut self.key);
    }

    /// The keys of earlier batches.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Keys `[n, d]` of images, without graph, each computed among others than its query was.
    fn keys_of(&self, images: &Tensor, step: u64) -> Result<Tensor, ModelError> {
        let rows = images.size()[0];
        if self.settings.groups == 1 {
            return no_grad(|| self.key.projections(images, Mode::Train));
        }
        let mut order: Vec<i64> = (0..rows).collect();
        order.shuffle(&mut stream(self.settings.seed, Purpose::ShuffledBatchNorm, 0, step));
        let mut place = vec![0; order.len()];
        for (position, &row) in order.iter().enumerate() {
            place[row as usize] = position as i64;
        }
        let (order, place) = (Tensor::from_slice(&order), Tensor::from_slice(&place));
        let shuffled = guard("shuffling keys", || images.index_select(0, &order.to_device(images.device())))?;
        let keys = no_grad(|| self.in_groups(&self.key, &shuffled))?;
        Ok(guard("shuffling keys", || keys.index_select(0, &place.to_device(keys.device())))?)
    }

    /// Projections of images, group by group.
    fn in_groups(&self, encoder: &Encoder, images: &Tensor) -> Result<Tensor, ModelError> {
        let groups = guard("parting a batch", || images.chunk(self.settings.groups as i64, 0))?;
        let parts: Vec<Tensor> =
            groups.iter().map(|group| encoder.projections(group, Mode::Train)).collect::<Result<_, _>>()?;
        Ok(guard("joining projections", || Tensor::cat(&parts, 0))?)
    }
}

impl Method for MoCo {
    fn encoder(&self) -> &Encoder {
        &self.query
    }

    fn loss(&mut self, views: &Tensor, step: u64) -> Result<ObjectiveLoss, ModelError> {
        let images = views.size()[0] / 2;
        let (first, second) = (views.narrow(0, 0, images), views.narrow(0, images, images));
        momentum_update(&self.key.parameters(""), &self.query.parameters(""), self.settings.momentum)?;
        let keys = self.keys_of(&second, step)?;
        let queries = self.in_groups(&self.query, &first)?;
        let temperature = self.settings.temperature;
        let loss = guard("computing the loss", || info_nce(&queries, &keys, self.queue.keys(), temperature))??;
        self.keys = Some(guard("normalising keys", || unit_rows(&keys))?);
        Ok(guard("computing figures", || with_figures(loss, &queries))?)
    }

    fn updated(&mut self) -> Result<(), ModelError> {
        // Not before the backward pass, which needs the queue as it was.
        if let Some(keys) = self.keys.take() {
            self.queue.push(&keys)?;
        }
        Ok(())
    }

    fn parameters(&self) -> Parameters {
        let mut list = self.query.parameters("module.encoder_q.");
        list.extend(self.key.parameters("module.encoder_k."), |_| Role::Buffer);
        let _ = list.add("module.queue".into(), self.queue.keys().shallow_clone(), Role::Buffer);
        list
    }

    fn is_follower(&self, name: &str) -> bool {
        name.starts_with("module.encoder_k.")
    }

    fn counters(&self) -> Vec<(String, Tensor)> {
        vec![("module.queue_ptr".into(), self.queue.pointer().shallow_clone())]
    }
}

/// k <- m k + (1 - m) q over the weights, in place; each encoder has running statistics of its own. Both lists name the
/// same tensors in the same order.
pub fn momentum_update(key: &Parameters, query: &Parameters, momentum: f64) -> Result<(), ModelError> {
    Ok(guard("following the query encoder", || {
        no_grad(|| {
            for (key, query) in key.iter().zip(query.iter()).filter(|(key, _)| key.role == Role::Weight) {
                let _ = key.tensor.shallow_clone().lerp_(&query.tensor, 1.0 - momentum);
            }
        });
    })?)
}
