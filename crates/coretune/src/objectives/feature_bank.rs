//! The bank of DR-Tune: features of a frozen encoder beside those that training made of the same images, and the
//! calibration that brings the first to where the second are.

use tch::{Device, Kind, Tensor, no_grad};

use crate::engine::rows::{one_hot, unit_rows};
use crate::engine::{EngineError, guard, shape};

/// The last K images, with two features and the label of each. The newest replaces the oldest.
#[derive(Debug)]
pub struct FeatureBank {
    /// f32 `[K, D]`, of the frozen encoder.
    pretrained: Tensor,
    /// f32 `[K, D]`, of the network at the time.
    finetuned: Tensor,
    /// i64 `[K]`.
    labels: Tensor,
    /// i64 `[2]` on the host: the row that is replaced next, and the rows that have been filled.
    place: Tensor,
}

impl FeatureBank {
    /// An empty bank of K rows of width D.
    ///
    /// # Errors
    /// [`EngineError`] for sizes below 1.
    pub fn new(rows: i64, width: i64, device: Device) -> Result<Self, EngineError> {
        if rows < 1 || width < 1 {
            let found = format!("{rows} x {width}");
            return Err(EngineError::Value { name: "bank", expected: "one row or more".into(), found });
        }
        guard("building the bank", || FeatureBank {
            pretrained: Tensor::zeros([rows, width], (Kind::Float, device)),
            finetuned: Tensor::zeros([rows, width], (Kind::Float, device)),
            labels: Tensor::zeros([rows], (Kind::Int64, device)),
            place: Tensor::zeros([2], (Kind::Int64, Device::Cpu)),
        })
    }

    /// Rows that have been filled.
    pub fn filled(&self) -> i64 {
        self.place.int64_value(&[1])
    }

    /// Features of the frozen encoder, those of the network, and labels: of the rows that have been filled.
    pub fn rows(&self) -> [Tensor; 3] {
        [&self.pretrained, &self.finetuned, &self.labels].map(|tensor| tensor.narrow(0, 0, self.filled()))
    }

    /// Its tensors by name, for the state of the method.
    pub(super) fn tensors(&self) -> [(&'static str, &Tensor); 4] {
        [
            ("pretrained", &self.pretrained),
            ("finetuned", &self.finetuned),
            ("labels", &self.labels),
            ("place", &self.place),
        ]
    }

    /// Takes n images, `[n, D]` each; of more than K images the last K.
    ///
    /// # Errors
    /// [`EngineError::Shape`] for features of another width or number.
    pub fn push(&mut self, pretrained: &Tensor, finetuned: &Tensor, labels: &[i64]) -> Result<(), EngineError> {
        let (length, width) = (self.pretrained.size()[0], self.pretrained.size()[1]);
        let images = labels.len() as i64;
        shape::exactly("pre-trained features", pretrained, &[images, width])?;
        shape::exactly("features", finetuned, &[images, width])?;
        guard("filling the bank", || {
            no_grad(|| {
                let kept = images.min(length);
                let next = self.place.int64_value(&[0]);
                let device = self.pretrained.device();
                let places: Vec<i64> = (0..kept).map(|row| (next + row) % length).collect();
                let places = Tensor::from_slice(&places).to_device(device);
                let labels = Tensor::from_slice(labels).to_device(device);
                for (bank, new) in [
                    (&self.pretrained, &pretrained.detach()),
                    (&self.finetuned, &finetuned.detach()),
                    (&self.labels, &labels),
                ] {
                    let _ = bank.shallow_clone().index_copy_(0, &places, &new.narrow(0, images - kept, kept));
                }
                let filled = (self.filled() + kept).min(length);
                self.place.copy_(&Tensor::from_slice(&[(next + kept) % length, filled]));
            });
        })
    }
}

/// B9, the rotation R `[D, D]` that brings the rows of `pretrained` nearest to those of `finetuned`, both `[K, D]`: U V^T
/// of the singular value decomposition U S V^T of finetuned^T pretrained (orthogonal Procrustes). A row x becomes R x.
///
/// # Errors
/// [`EngineError::Shape`] for anything but two matrices of one shape.
pub fn rotation(pretrained: &Tensor, finetuned: &Tensor) -> Result<Tensor, EngineError> {
    let (rows, width) = shape::matrix("pre-trained features", pretrained)?;
    shape::exactly("features", finetuned, &[rows, width])?;
    guard("computing the rotation", || {
        let (u, _, v) = finetuned.tr().matmul(pretrained).svd(true, true);
        u.matmul(&v.tr())
    })
}

/// B9, the shift of each class: the rows of `rotated` move by the difference between the centre of their class in
/// `finetuned`, in which a row counts by the softmax over its class of its cosine with the class's row of the
/// classifier, and the centre of their class in `rotated`.
///
/// Both are `[K, D]` of length 1, labels i64 `[K]`, `class_weight` `[C, D]`.
///
/// # Errors
/// [`EngineError::Shape`] for shapes that do not fit.
pub fn shift(
    rotated: &Tensor,
    finetuned: &Tensor,
    labels: &Tensor,
    class_weight: &Tensor,
) -> Result<Tensor, EngineError> {
    let (rows, width) = shape::matrix("pre-trained features", rotated)?;
    let (classes, _) = shape::matrix("class weight", class_weight)?;
    shape::exactly("features", finetuned, &[rows, width])?;
    shape::exactly("class weight", class_weight, &[classes, width])?;
    shape::exactly("labels", labels, &[rows])?;
    guard("shifting classes", || {
        let kind = rotated.kind();
        let members = one_hot(labels, classes, kind).tr();
        // Of each class; a class without rows has the centre 0, which no row reads.
        let mean = |weights: &Tensor, rows: &Tensor| {
            let mass = weights.sum_dim_intlist([1i64].as_slice(), true, kind).clamp_min(1e-12);
            weights.matmul(rows) / mass
        };
        let of_rows = unit_rows(class_weight).index_select(0, labels);
        let confidence = (finetuned * of_rows).sum_dim_intlist([1i64].as_slice(), false, kind).exp();
        let by_confidence = &members * confidence.unsqueeze(0);
        let moved = mean(&by_confidence, finetuned) - mean(&members, rotated);
        rotated + moved.index_select(0, labels)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(first: i64, count: i64) -> Tensor {
        Tensor::arange_start(first, first + count, (Kind::Float, Device::Cpu)).unsqueeze(1)
    }

    fn values(tensor: &Tensor) -> Vec<i64> {
        tensor.to_kind(Kind::Int64).view(-1).try_into().unwrap()
    }

    #[test]
    fn the_newest_images_replace_the_oldest_and_only_filled_rows_are_read() {
        let mut bank = FeatureBank::new(4, 1, Device::Cpu).unwrap();
        bank.push(&rows(10, 3), &rows(20, 3), &[0, 1, 2]).unwrap();
        let [pretrained, finetuned, labels] = bank.rows();
        assert_eq!((values(&pretrained), values(&finetuned)), (vec![10, 11, 12], vec![20, 21, 22]));
        assert_eq!(values(&labels), [0, 1, 2]);
        bank.push(&rows(13, 2), &rows(23, 2), &[3, 4]).unwrap();
        let [pretrained, _, labels] = bank.rows();
        assert_eq!((values(&pretrained), values(&labels)), (vec![14, 11, 12, 13], vec![4, 1, 2, 3]));
        bank.push(&rows(30, 6), &rows(40, 6), &[0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(values(&bank.rows()[0]), [35, 32, 33, 34], "of six images the last four");
    }

    #[test]
    fn features_of_another_width_are_refused() {
        let mut bank = FeatureBank::new(4, 2, Device::Cpu).unwrap();
        assert!(bank.push(&rows(0, 2), &rows(0, 2), &[0, 1]).is_err());
        assert!(FeatureBank::new(0, 2, Device::Cpu).is_err());
    }

    #[test]
    fn what_was_rotated_is_rotated_back() {
        tch::manual_seed(7);
        let bank = Tensor::randn([20, 4], (Kind::Double, Device::Cpu));
        let (turn, _) = Tensor::linalg_qr(&Tensor::randn([4, 4], (Kind::Double, Device::Cpu)), "reduced");
        let found = rotation(&bank, &bank.matmul(&turn.tr())).unwrap();
        assert!((found - turn).abs().max().double_value(&[]) < 1e-9);
    }
}
