use tch::{Kind, Tensor};

use crate::engine::{EngineError, guard, shape};

/// B3, one stage of DELTA: the mean over images of sum over channels c of W_c / 2 x C / (H W) ||map_c - source_c||^2; a
/// scalar.
///
/// Both maps are `[n, C, H, W]`, the weights `[C]`; without weights each is 1 / C. The source gets no gradient.
///
/// # Errors
/// [`EngineError::Shape`] for maps of different shapes and for another number of weights.
pub fn feature_map_distance(
    map: &Tensor,
    source: &Tensor,
    channel_weights: Option<&Tensor>,
) -> Result<Tensor, EngineError> {
    let [images, channels, height, width] = map.size()[..] else {
        let expected = "[n, C, H, W]".into();
        return Err(EngineError::Value { name: "feature map", expected, found: format!("{:?}", map.size()) });
    };
    shape::exactly("source feature map", source, &[images, channels, height, width])?;
    if let Some(weights) = channel_weights {
        shape::exactly("channel weights", weights, &[channels])?;
    }
    guard("comparing feature maps", || {
        let kind = if map.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let squared = (map.to_kind(kind) - source.detach().to_kind(kind)).square();
        let of_channels = squared.sum_dim_intlist([0i64, 2, 3].as_slice(), false, kind);
        let weighted = match channel_weights {
            Some(weights) => (of_channels * weights).sum(kind),
            None => of_channels.mean(kind),
        };
        0.5 * channels as f64 * weighted / (images * height * width) as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn without_weights_every_channel_counts_alike() {
        tch::manual_seed(1);
        let random = || Tensor::randn([2, 4, 3, 5], (Kind::Double, Device::Cpu));
        let (map, source) = (random(), random());
        let plain = feature_map_distance(&map, &source, None).unwrap();
        let weights = Tensor::full([4], 0.25, (Kind::Double, Device::Cpu));
        let weighted = feature_map_distance(&map, &source, Some(&weights)).unwrap();
        assert!((plain - weighted).abs().double_value(&[]) < 1e-12);
    }

    #[test]
    fn maps_of_other_shapes_are_refused() {
        let map = |size: [i64; 4]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        assert!(feature_map_distance(&map([2, 4, 3, 3]), &map([2, 4, 2, 3]), None).is_err());
        let weights = Tensor::zeros([3], (Kind::Float, Device::Cpu));
        assert!(feature_map_distance(&map([2, 4, 3, 3]), &map([2, 4, 3, 3]), Some(&weights)).is_err());
    }
}
