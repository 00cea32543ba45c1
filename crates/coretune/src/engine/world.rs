use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use super::ranks::{Group, RanksError, Traffic};
use super::{EngineError, guard};

/// The processes that train together, and what they exchange: one, or the ranks of `torch.distributed`.
///
/// What is computed depends on the global batch alone, never on how many processes share it: each takes its part, rows
/// are gathered before the loss, and gradients are summed.
#[derive(Debug, Clone, Copy, Default)]
pub enum World {
    /// A single process.
    #[default]
    Alone,
    /// One of several.
    Ranks(&'static Group),
}

/// Dimensions of rows that are gathered, the number of rows included.
const MOST_DIMENSIONS: usize = 6;

/// Bytes that are summed at once.
const BUCKET: usize = 25 << 20;

impl PartialEq for World {
    /// A process is in one group at most.
    fn eq(&self, other: &Self) -> bool {
        (self.rank(), self.ranks()) == (other.rank(), other.ranks())
    }
}

impl Eq for World {}

impl World {
    /// This process among them, from 0.
    pub fn rank(self) -> usize {
        match self {
            World::Alone => 0,
            World::Ranks(group) => group.place().rank,
        }
    }

    /// How many processes there are.
    pub fn ranks(self) -> usize {
        match self {
            World::Alone => 1,
            World::Ranks(group) => group.place().ranks,
        }
    }

    /// How many of them are on this machine.
    pub fn local_ranks(self) -> usize {
        match self {
            World::Alone => 1,
            World::Ranks(group) => group.place().local_ranks,
        }
    }

    /// Whether this process is the one that writes and speaks.
    pub fn is_first(self) -> bool {
        self.rank() == 0
    }

    /// Whether this process computes alone.
    pub fn is_alone(self) -> bool {
        self.ranks() == 1
    }

    /// This process's part of a global batch: as many in a row as every other.
    pub fn part<T>(self, batch: &[T]) -> &[T] {
        let (count, ranks, rank) = (batch.len(), self.ranks(), self.rank());
        &batch[count * rank / ranks..count * (rank + 1) / ranks]
    }

    /// The rows `[views n, ..]` of all processes in the order of the global batch, without graph: the first views of all
    /// images, then their second views. Every process has n images.
    ///
    /// # Errors
    /// [`EngineError::Ranks`] for a process that is gone.
    pub fn gather(self, rows: &Tensor, views: usize) -> Result<Tensor, EngineError> {
        let World::Ranks(group) = self else { return Ok(rows.detach()) };
        let of_ranks = group.gather(&rows.to_device(Device::Cpu))?;
        let (size, views) = (rows.size(), views as i64);
        let images = size[0] / views;
        let inner = &size[1..];
        let shape = |first: &[i64]| [first, inner].concat();
        // [ranks, views, n, ..] -> [views, ranks, n, ..]
        let parts = of_ranks.view(&*shape(&[self.ranks() as i64, views, images])).transpose(0, 1);
        Ok(parts.contiguous().view(&*shape(&[self.ranks() as i64 * size[0]])).to_device(rows.device()))
    }

    /// The rows of this process among those that [`World::gather`] gave.
    pub fn own_rows(self, rows: &Tensor, views: usize) -> Tensor {
        if self.is_alone() {
            return rows.shallow_clone();
        }
        let of_view = rows.size()[0] / views as i64;
        let own = of_view / self.ranks() as i64;
        let first = own * self.rank() as i64;
        let parts: Vec<Tensor> = (0..views as i64).map(|view| rows.narrow(0, view * of_view + first, own)).collect();
        Tensor::cat(&parts, 0)
    }

    /// The rows of each process, without graph, on the host; each may have another number of them, or none at all.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn gather_uneven(self, rows: Option<&Tensor>) -> Result<Vec<Tensor>, EngineError> {
        let World::Ranks(group) = self else { return Ok(rows.map(Tensor::detach).into_iter().collect()) };
        // The number of rows of each, and the shape of a row, which those without rows do not know.
        let mut shape = [0; MOST_DIMENSIONS];
        let own = rows.map(Tensor::size).unwrap_or_default();
        shape.iter_mut().zip(&own).for_each(|(place, size)| *place = *size);
        let shapes = group.gather(&Tensor::from_slice(&shape))?;
        let count = |rank: usize| shapes.int64_value(&[rank as i64, 0]);
        let (counts, largest) = ((0..self.ranks()).map(count).collect::<Vec<_>>(), shapes.amax([0], false));
        if counts.iter().all(|&count| count == 0) {
            return Ok(Vec::new());
        }
        let largest: Vec<i64> = (0..MOST_DIMENSIONS as i64).map(|place| largest.int64_value(&[place])).collect();
        let shape: Vec<i64> = largest.into_iter().take_while(|&size| size > 0).collect();
        let padded = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        if let Some(rows) = rows {
            padded.narrow(0, 0, own[0]).copy_(&rows.detach());
        }
        let of_ranks = group.gather(&padded)?;
        let of_rank = |(rank, &count): (usize, &i64)| of_ranks.get(rank as i64).narrow(0, 0, count);
        Ok(counts.iter().enumerate().filter(|(_, count)| **count > 0).map(of_rank).collect())
    }

    /// The sum of a tensor over all processes in its own number format, without graph.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn sum_as_it_is(self, own: &Tensor) -> Result<Tensor, EngineError> {
        let World::Ranks(group) = self else { return Ok(own.detach()) };
        let sum = guard("copying a tensor", || own.detach().to_device(Device::Cpu).copy())?;
        group.sum(&sum)?;
        guard("copying a tensor", || sum.to_device(own.device()))
    }

    /// The numbers of each process, in the order of the processes; each may have as many as it likes.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn gather_uneven_numbers(self, own: &[i64]) -> Result<Vec<i64>, EngineError> {
        let World::Ranks(group) = self else { return Ok(own.to_vec()) };
        let counts = self.gather_number(own.len() as i64)?;
        let most = counts.iter().copied().max().unwrap_or_default() as usize;
        let mut padded = own.to_vec();
        padded.resize(most, 0);
        if most == 0 {
            return Ok(Vec::new());
        }
        let all = group.gather(&Tensor::from_slice(&padded))?;
        let mut numbers = vec![0; all.numel()];
        all.copy_data(&mut numbers, all.numel());
        let of_rank = |(numbers, &count): (&[i64], &i64)| numbers[..count as usize].to_vec();
        Ok(numbers.chunks_exact(most).zip(&counts).flat_map(of_rank).collect())
    }

    /// A number of each process.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn gather_number(self, own: i64) -> Result<Vec<i64>, EngineError> {
        self.gather_labels(&[own])
    }

    /// The sum of a number over all processes.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn total(self, own: f64) -> Result<f64, EngineError> {
        let World::Ranks(group) = self else { return Ok(own) };
        let sum = Tensor::from_slice(&[own]);
        group.sum(&sum)?;
        Ok(sum.double_value(&[0]))
    }

    /// For each row `[n, ..]` of this process the row `shift` before it in the global batch, which is a ring; without graph.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn rows_before(self, rows: &Tensor, shift: i64) -> Result<Tensor, EngineError> {
        let own = rows.size()[0];
        if self.is_alone() {
            return guard("choosing rows", || rows.roll([shift], [0i64]));
        }
        if shift > own {
            let all = self.gather(rows, 1)?;
            return guard("choosing rows", || self.own_rows(&all.roll([shift], [0i64]), 1));
        }
        // Only the last rows of each process move to another.
        let last = self.gather(&rows.narrow(0, own - shift, shift), 1)?;
        guard("choosing rows", || {
            let before = self.own_rows(&last.roll([shift], [0i64]), 1);
            Tensor::cat(&[&before, &rows.narrow(0, 0, own - shift)], 0)
        })
    }

    /// The labels of all processes in the order of the global batch.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn gather_labels(self, labels: &[i64]) -> Result<Vec<i64>, EngineError> {
        if self.is_alone() {
            return Ok(labels.to_vec());
        }
        let all = self.gather(&Tensor::from_slice(labels), 1)?;
        let mut labels = vec![0; all.numel()];
        all.copy_data(&mut labels, all.numel());
        Ok(labels)
    }

    /// Sums each gradient over all processes, in place: in buckets, in the order of the list. A gradient is undefined in
    /// all processes or in none.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn sum(self, gradients: &mut [Tensor]) -> Result<(), EngineError> {
        let World::Ranks(group) = self else { return Ok(()) };
        let defined: Vec<&Tensor> = gradients.iter().filter(|gradient| gradient.defined()).collect();
        let mut rest = &defined[..];
        while !rest.is_empty() {
            let (bucket, after) = rest.split_at(bucket_length(rest));
            let flat: Vec<Tensor> = bucket.iter().map(|gradient| gradient.reshape([-1]).to_kind(Kind::Float)).collect();
            let flat = Tensor::cat(&flat, 0).to_device(Device::Cpu);
            group.sum(&flat)?;
            let mut first = 0;
            for gradient in bucket {
                let count = gradient.numel() as i64;
                gradient.shallow_clone().copy_(&flat.narrow(0, first, count).view_as(gradient));
                first += count;
            }
            rest = after;
        }
        Ok(())
    }

    /// The sum of a tensor over all processes as a part of the graph, whose gradient is summed over all processes too.
    ///
    /// # Panics
    /// For a process that is gone: call inside [`crate::engine::guard`].
    pub fn sum_in_graph(self, tensor: &Tensor) -> Tensor {
        match self {
            World::Alone => tensor.shallow_clone(),
            World::Ranks(group) => match group.sum_in_graph(tensor) {
                Ok(total) => total,
                Err(error) => panic!("{error}"),
            },
        }
    }

    /// Copies rank 0's values into the tensors of the others.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn broadcast<'a>(self, tensors: impl Iterator<Item = &'a Tensor>) -> Result<(), EngineError> {
        let World::Ranks(group) = self else { return Ok(()) };
        for tensor in tensors {
            let values = tensor.detach().to_device(Device::Cpu).contiguous();
            group.broadcast(&values)?;
            tensor.detach().copy_(&values);
        }
        Ok(())
    }

    /// Whether any process was asked to stop: all of them then stop after the same step.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn agree(self, stop: bool) -> Result<bool, EngineError> {
        let World::Ranks(group) = self else { return Ok(stop) };
        let votes = Tensor::from_slice(&[i64::from(stop)]);
        group.sum(&votes)?;
        Ok(votes.int64_value(&[0]) > 0)
    }

    /// Whether any process was asked to stop, and whether rank 0 finds it time for something: all agree on both.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn agree_on_both(self, stop: bool, is_time: bool) -> Result<(bool, bool), EngineError> {
        let World::Ranks(group) = self else { return Ok((stop, is_time)) };
        let votes = Tensor::from_slice(&[i64::from(stop), i64::from(is_time && self.is_first())]);
        group.sum(&votes)?;
        Ok((votes.int64_value(&[0]) > 0, votes.int64_value(&[1]) > 0))
    }

    /// What rank 0 computes, on all processes; the others wait for it without computing. If rank 0 fails, all end with its error.
    ///
    /// # Errors
    /// That of `compute`, and as [`World::gather`].
    pub fn by_first<T, E>(self, compute: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<EngineError>,
    {
        let World::Ranks(group) = self else { return compute() };
        let broken = |error: serde_json::Error| RanksError::Exchange { step: 0, message: error.to_string() };
        if self.is_first() {
            let value = compute()?;
            let said = serde_json::to_string(&value).map_err(broken).and_then(|text| group.say(&text));
            return said.map(|()| value).map_err(|error| E::from(error.into()));
        }
        let heard = group.hear().and_then(|text| serde_json::from_str(&text).map_err(broken));
        heard.map_err(|error| E::from(error.into()))
    }

    /// Waits until all processes have come to this place.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub fn meet(self) -> Result<(), EngineError> {
        match self {
            World::Alone => Ok(()),
            World::Ranks(group) => Ok(group.meet()?),
        }
    }

    /// What this process has exchanged with the others so far; none if it is alone.
    pub fn traffic(self) -> Option<Traffic> {
        match self {
            World::Alone => None,
            World::Ranks(group) => Some(group.traffic()),
        }
    }

    /// Notes the step under way, counted from 1, for messages.
    pub fn at_step(self, step: u64) {
        if let World::Ranks(group) = self {
            group.set_step(step);
        }
    }

    /// Says to the other processes that this one ends with an error of its own, which becomes the [`World::failure`].
    pub fn leave(self, reason: &str) {
        if let World::Ranks(group) = self {
            group.leave(reason);
        }
    }

    /// Why the processes cannot continue together, once an exchange or one of them has failed.
    pub fn failure(self) -> Option<RanksError> {
        match self {
            World::Alone => None,
            World::Ranks(group) => group.failure(),
        }
    }
}

/// How many of these gradients make a bucket.
fn bucket_length(gradients: &[&Tensor]) -> usize {
    let mut bytes = 0;
    let fits = |gradient: &&&Tensor| {
        bytes += 4 * gradient.numel();
        bytes <= BUCKET
    };
    gradients.iter().take_while(fits).count().max(1)
}
