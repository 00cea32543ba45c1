//! A queue of keys for each class (Bi-tuning).

use tch::{Device, Kind, Tensor, no_grad};

use super::queue::random_unit_rows;
use crate::engine::{EngineError, guard, shape};

/// The last K keys of each class; a new key of a class replaces its oldest.
#[derive(Debug)]
pub struct ClassQueue {
    /// f32 `[C, K, d]`.
    keys: Tensor,
    /// i64 `[C]` on the host: the place in each class that is replaced next.
    next: Tensor,
}

impl ClassQueue {
    /// K random unit vectors of width d for each class, as before any batch; `draw` is the seed of the run and a number that tells
    /// its queues apart.
    ///
    /// # Errors
    /// [`EngineError`] for sizes below 1.
    pub fn new((classes, keys, width): (i64, i64, i64), draw: (u64, u64), device: Device) -> Result<Self, EngineError> {
        if classes < 1 || keys < 1 || width < 1 {
            let found = format!("{classes} x {keys} x {width}");
            return Err(EngineError::Value { name: "queue", expected: "one number or more".into(), found });
        }
        guard("building the queue", || {
            let rows = random_unit_rows([classes * keys, width], draw);
            ClassQueue {
                keys: rows.view([classes, keys, width]).to_device(device),
                next: Tensor::zeros([classes], (Kind::Int64, Device::Cpu)),
            }
        })
    }

    /// Keys f32 `[C, K, d]`.
    pub fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// The place in each class that is replaced next, i64 `[C]`.
    pub fn next(&self) -> &Tensor {
        &self.next
    }

    /// Puts `[n, d]` keys, normalised, in the places of the oldest of their classes, in the order of the rows. Of more than
    /// K of a class the last K stay.
    ///
    /// # Errors
    /// [`EngineError`] for keys of another width and for labels outside `0..C`.
    pub fn push(&mut self, keys: &Tensor, labels: &[i64]) -> Result<(), EngineError> {
        let [classes, length, width] = self.keys.size()[..] else { unreachable!("made with three dimensions") };
        let rows = labels.len() as i64;
        shape::exactly("keys", keys, &[rows, width])?;
        shape::labels(labels, rows, classes)?;
        guard("filling the queue", || {
            no_grad(|| {
                let (rows, places) = self.take_places(labels, length);
                let [rows, places] = [rows, places].map(|list| Tensor::from_slice(&list).to_device(self.keys.device()));
                let new = keys.detach().index_select(0, &rows);
                let _ = self.keys.view([classes * length, width]).index_copy_(0, &places, &new);
            });
        })
    }

    /// For each row that stays, its number and its place among all C K keys.
    fn take_places(&mut self, labels: &[i64], length: i64) -> (Vec<i64>, Vec<i64>) {
        let mut row_at = std::collections::BTreeMap::new();
        for (row, &class) in labels.iter().enumerate() {
            let place = self.next.int64_value(&[class]);
            row_at.insert(class * length + place, row as i64);
            let _ = self.next.get(class).fill_((place + 1) % length);
        }
        let (places, rows) = row_at.into_iter().unzip();
        (rows, places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(first: i64, count: i64) -> Tensor {
        Tensor::arange_start(first, first + count, (Kind::Float, Device::Cpu)).unsqueeze(1)
    }

    fn of_class(queue: &ClassQueue, class: i64) -> Vec<f32> {
        Vec::try_from(queue.keys().get(class).view(-1)).unwrap()
    }

    #[test]
    fn a_key_replaces_the_oldest_of_its_class_alone() {
        let mut queue = ClassQueue::new((2, 3, 1), (0, 0), Device::Cpu).unwrap();
        let other = of_class(&queue, 1);
        queue.push(&rows(10, 2), &[0, 0]).unwrap();
        queue.push(&rows(20, 2), &[0, 0]).unwrap();
        assert_eq!(of_class(&queue, 0), [21.0, 11.0, 20.0]);
        assert_eq!(of_class(&queue, 1), other);
        assert_eq!(Vec::<i64>::try_from(queue.next()).unwrap(), [1, 0]);
    }

    #[test]
    fn of_more_keys_than_places_the_last_stay() {
        let mut queue = ClassQueue::new((2, 2, 1), (0, 0), Device::Cpu).unwrap();
        queue.push(&rows(10, 6), &[1, 1, 0, 1, 1, 1]).unwrap();
        assert_eq!(of_class(&queue, 1), [15.0, 14.0]);
    }

    #[test]
    fn keys_of_another_width_and_unknown_classes_are_refused() {
        let mut queue = ClassQueue::new((2, 2, 3), (0, 0), Device::Cpu).unwrap();
        assert!(queue.push(&Tensor::ones([2, 4], (Kind::Float, Device::Cpu)), &[0, 1]).is_err());
        assert!(queue.push(&Tensor::ones([2, 3], (Kind::Float, Device::Cpu)), &[0, 2]).is_err());
        assert!(ClassQueue::new((2, 0, 3), (0, 0), Device::Cpu).is_err());
    }
}
