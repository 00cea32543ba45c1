//! A queue of keys (`MoCo`).
//!
//! Methods keep rows of earlier batches in four ways, which differ in what a new batch replaces:
//!
//! | | used by | a new batch replaces |
//! |---|---|---|
//! | [`Queue`] | `MoCo` v2 | the oldest batch; its size divides the queue |
//! | `ClassQueue` | Bi-tuning | the oldest keys of each row's class |
//! | `ProjectionMemory` | Core-tuning | the oldest rows of any class; empty rows have no class |
//! | `FeatureBank` | DR-Tune | the oldest rows; only filled rows are read |

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor, no_grad};

use crate::engine::rows::unit_rows;
use crate::engine::{EngineError, guard, shape};
use crate::random::{Purpose, stream};

/// Normalised keys of the last batches, the oldest of which the next batch replaces.
#[derive(Debug)]
pub struct Queue {
    /// f32 `[d, K]`, one key a column.
    keys: Tensor,
    /// i64 `[1]` on the host: the column that is replaced next.
    pointer: Tensor,
}

impl Queue {
    /// K random unit vectors of width d, as before any batch.
    ///
    /// # Errors
    /// [`EngineError::Value`] for sizes below 1.
    pub fn new(width: i64, length: i64, seed: u64, device: Device) -> Result<Self, EngineError> {
        if width < 1 || length < 1 {
            let found = format!("{width} x {length}");
            return Err(EngineError::Value { name: "queue", expected: "one number or more".into(), found });
        }
        guard("building the queue", || {
            let keys = random_unit_rows([length, width], (seed, 0)).tr().contiguous();
            Queue { keys: keys.to_device(device), pointer: Tensor::zeros([1], (Kind::Int64, Device::Cpu)) }
        })
    }

    /// Keys f32 `[d, K]`.
    pub fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// Puts `[n, d]` keys, normalised, in the place of the n oldest.
    ///
    /// # Errors
    /// [`EngineError::Shape`] for keys of another width, [`EngineError::Value`] when n does not divide K.
    pub fn push(&mut self, keys: &Tensor) -> Result<(), EngineError> {
        let (width, length) = (self.keys.size()[0], self.keys.size()[1]);
        let (rows, _) = shape::matrix("keys", keys)?;
        shape::exactly("keys", keys, &[rows, width])?;
        if rows == 0 || length % rows != 0 {
            let expected = format!("a number of keys that divides the queue's {length}");
            return Err(EngineError::Value { name: "keys", expected, found: rows.to_string() });
        }
        guard("filling the queue", || {
            no_grad(|| {
                let start = self.pointer.int64_value(&[0]);
                self.keys.narrow(1, start, rows).copy_(&keys.detach().tr());
                let _ = self.pointer.fill_((start + rows) % length);
            });
        })
    }

    /// The column that is replaced next, i64 `[1]`.
    pub fn pointer(&self) -> &Tensor {
        &self.pointer
    }
}

/// Random unit vectors `[rows, width]` on the host, what a queue holds before any batch; `number` tells the queues of a run
/// apart. An exception of libtorch panics, so call it inside [`guard`].
pub(super) fn random_unit_rows([rows, width]: [i64; 2], (seed, number): (u64, u64)) -> Tensor {
    let mut stream = stream(seed, Purpose::Queue, 0, number);
    let values: Vec<f32> = (0..rows * width).map(|_| StandardNormal.sample(&mut stream)).collect();
    unit_rows(&Tensor::from_slice(&values).view([rows, width]))
}
