//! A memory of projections of earlier batches (Core-tuning with many classes).

use tch::{Device, Kind, Tensor, no_grad};

use crate::engine::{EngineError, guard, shape};
use crate::losses::EarlierRows;

/// The last K projections of originals with their classes; a new one replaces the oldest. It is empty at first.
#[derive(Debug)]
pub struct ProjectionMemory {
    /// f32 `[K, d]`.
    projections: Tensor,
    /// i64 `[K]`, -1 where no projection is stored yet.
    labels: Tensor,
    /// i64 `[1]` on the host: the row that is replaced next.
    next: Tensor,
}

impl ProjectionMemory {
    /// An empty memory of `length` projections of this width.
    ///
    /// # Errors
    /// [`EngineError`] for sizes below 1.
    pub fn new(length: i64, width: i64, device: Device) -> Result<Self, EngineError> {
        if length < 1 || width < 1 {
            let found = format!("{length} x {width}");
            return Err(EngineError::Value { name: "memory", expected: "one number or more".into(), found });
        }
        guard("building the memory", || ProjectionMemory {
            projections: Tensor::zeros([length, width], (Kind::Float, device)),
            labels: Tensor::full([length], -1, (Kind::Int64, device)),
            next: Tensor::zeros([1], (Kind::Int64, Device::Cpu)),
        })
    }

    /// What anchors are compared with.
    pub fn rows(&self) -> EarlierRows<'_> {
        EarlierRows { projections: &self.projections, labels: &self.labels }
    }

    /// The row that is replaced next, i64 `[1]`.
    pub fn next(&self) -> &Tensor {
        &self.next
    }

    /// Puts projections `[n, d]` and their classes in the places of the n oldest. Of more than K the last K stay.
    ///
    /// # Errors
    /// [`EngineError`] for projections of another width.
    pub fn push(&mut self, projections: &Tensor, labels: &[i64]) -> Result<(), EngineError> {
        let (length, width) = (self.projections.size()[0], self.projections.size()[1]);
        let rows = labels.len() as i64;
        shape::exactly("projections", projections, &[rows, width])?;
        shape::labels(labels, rows, i64::MAX)?;
        guard("filling the memory", || {
            no_grad(|| {
                let first = self.next.int64_value(&[0]);
                let kept = rows.min(length);
                let places: Vec<i64> = (rows - kept..rows).map(|row| (first + row) % length).collect();
                let device = self.projections.device();
                let places = Tensor::from_slice(&places).to_device(device);
                let new = projections.detach().to_kind(Kind::Float).narrow(0, rows - kept, kept);
                let classes = Tensor::from_slice(&labels[(rows - kept) as usize..]).to_device(device);
                let _ = self.projections.index_copy_(0, &places, &new);
                let _ = self.labels.index_copy_(0, &places, &classes);
                let _ = self.next.fill_((first + rows) % length);
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(first: i64, count: i64) -> Tensor {
        Tensor::arange_start(first, first + count, (Kind::Float, Device::Cpu)).unsqueeze(1)
    }

    fn held(memory: &ProjectionMemory) -> (Vec<f32>, Vec<i64>) {
        let EarlierRows { projections, labels } = memory.rows();
        (Vec::try_from(projections.view(-1)).unwrap(), Vec::try_from(labels).unwrap())
    }

    #[test]
    fn new_projections_replace_the_oldest_and_of_too_many_the_last_stay() {
        let mut memory = ProjectionMemory::new(3, 1, Device::Cpu).unwrap();
        memory.push(&rows(10, 2), &[4, 5]).unwrap();
        assert_eq!(held(&memory), (vec![10.0, 11.0, 0.0], vec![4, 5, -1]));
        memory.push(&rows(20, 2), &[6, 7]).unwrap();
        assert_eq!(held(&memory), (vec![21.0, 11.0, 20.0], vec![7, 5, 6]));
        memory.push(&rows(30, 4), &[0, 1, 2, 3]).unwrap();
        assert_eq!(held(&memory), (vec![32.0, 33.0, 31.0], vec![2, 3, 1]));
        assert_eq!(Vec::<i64>::try_from(memory.next()).unwrap(), [2]);
        assert!(memory.push(&Tensor::ones([1, 2], (Kind::Float, Device::Cpu)), &[0]).is_err());
    }
}
