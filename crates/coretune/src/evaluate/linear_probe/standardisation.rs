use tch::{Device, Kind, Tensor};

/// Mean and standard deviation `[1, D]` of each feature over the training rows, float64.
pub(super) struct Standardisation {
    mean: Tensor,
    /// Infinite for a feature that never varies, which makes it 0 in every row.
    deviation: Tensor,
}

impl Standardisation {
    /// Measures the rows of all `views` together and gives them standardised, in their own precision.
    pub(super) fn fit(views: &[&Tensor]) -> (Self, Tensor) {
        let rows = Tensor::cat(views, 0).to_device(Device::Cpu);
        let mean = rows.mean_dim([0i64].as_slice(), true, Kind::Double);
        let centred = rows.to_kind(Kind::Double) - &mean;
        let deviation = centred.square().mean_dim([0i64].as_slice(), true, Kind::Double).sqrt();
        // float32 rounds a constant to 6e-8 of itself; a spread of that size carries no information.
        let constant = deviation.le_tensor(&(mean.abs() * 1e-6 + f64::MIN_POSITIVE));
        let deviation = deviation.masked_fill(&constant, f64::INFINITY);
        let standardised = (centred / &deviation).to_kind(rows.kind());
        (Standardisation { mean, deviation }, standardised)
    }

    /// `W` and `b` for features that are not standardised: W (f - mean) / deviation + b = (W / deviation) f + (b - (W / deviation) mean).
    pub(super) fn fold(&self, weight: &Tensor, bias: &Tensor, kind: Kind) -> (Tensor, Tensor) {
        let weight = weight / &self.deviation;
        let bias = bias - (&weight * &self.mean).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        (weight.to_kind(kind), bias.to_kind(kind))
    }
}
