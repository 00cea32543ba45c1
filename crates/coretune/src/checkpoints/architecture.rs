//! Which network a set of tensors is, from their names and shapes alone.

use std::collections::BTreeMap;

use crate::models::mobilenet::WIDE_LAYERS;
use crate::models::resnet::{Block, RESNETS};
use crate::models::{Architecture, Family, Stem};

/// Shapes by our names.
pub(super) type Shapes = BTreeMap<String, Vec<i64>>;

/// Channels of the widest stem that is recognised, far above any that is built.
const WIDEST_STEM: i64 = 1 << 20;

/// A tensor of a file in which only its place is kept.
const WITHOUT_VALUES: &str = "its first convolution has no values (shape [0]), as in files of DeepSpeed ZeRO-3, which keeps \
                              them in other files: gather them with zero_to_fp32.py, which lies beside these";

/// The architecture of a backbone's tensors, or, as text, why it is not one of the known ones.
pub(super) fn architecture_of(shapes: &Shapes) -> Result<Architecture, String> {
    if shapes.keys().any(|name| name.starts_with("layers.")) { mobilenet(shapes) } else { resnet(shapes) }
}

/// Extent `axis` of a tensor.
fn extent(shapes: &Shapes, name: &str, axis: usize) -> Option<i64> {
    shapes.get(name)?.get(axis).copied()
}

fn resnet(shapes: &Shapes) -> Result<Architecture, String> {
    let stem = stem(shapes)?;
    let channels = ["conv1.weight", "bn1.weight"]
        .iter()
        .find_map(|name| extent(shapes, name, 0))
        .or_else(|| extent(shapes, "layer1.0.conv1.weight", 1))
        .filter(|channels| (1..=WIDEST_STEM).contains(channels))
        .ok_or("its first convolution, conv1.weight, is missing or not usable")?;
    let width = resnet_width(shapes, channels);
    let blocks = blocks(shapes)?;
    let has_third_convolution = shapes.keys().any(|name| name.ends_with(".conv3.weight"));
    let block = if has_third_convolution { Block::Bottleneck } else { Block::Basic };
    let (inner, groups) = inside(shapes, channels, block).ok_or("none of its blocks is complete")?;
    // A file with blocks missing is taken for the shallowest network that has those it holds.
    let family = RESNETS
        .iter()
        .filter(|known| known.block == block && known.groups == groups)
        .filter(|known| known.inner_channels(channels) == inner)
        .find(|known| known.blocks.iter().zip(blocks).all(|(&known, found)| known >= found))
        .map(|known| known.family);
    let family = family.ok_or_else(|| {
        let kind = if block == Block::Bottleneck { "bottleneck" } else { "basic" };
        format!(
            "{kind} blocks {blocks:?} with {inner} channels inside ({groups} groups) after a stem of {channels}; there \
             are {}",
            Family::names().join(", ")
        )
    })?;
    Ok(Architecture { family, stem, width })
}

/// What is said of a first convolution whose axes are in the order of another library.
fn permuted(shape: &[i64], axes: &str, order: &str) -> String {
    format!(
        "its first convolution has shape {shape:?}, whose axes are {axes}: bring those of each convolution into torch's \
         order with weight.permute({order})"
    )
}

fn stem(shapes: &Shapes) -> Result<Stem, String> {
    match shapes.get("conv1.weight").map(Vec::as_slice) {
        // Missing: the report will say so.
        None | Some([_, 3, 7, 7]) => Ok(Stem::Imagenet),
        Some([_, 3, 3, 3]) => Ok(Stem::Small),
        Some([0]) => Err(WITHOUT_VALUES.into()),
        Some(shape @ [_, 7, 7, 3]) => Err(permuted(shape, "[out, height, width, in]", "0, 3, 1, 2")),
        Some(shape @ ([7, 7, 3, _] | [3, 3, 3, _])) => Err(permuted(shape, "[height, width, in, out]", "3, 2, 0, 1")),
        Some(other) => Err(format!("its first convolution has shape {other:?}, expected [_, 3, 7, 7] or [_, 3, 3, 3]")),
    }
}

/// Blocks of each stage: one more than the highest number that occurs.
fn blocks(shapes: &Shapes) -> Result<[usize; 4], String> {
    let mut blocks = [0; 4];
    for name in shapes.keys() {
        let Some(rest) = name.strip_prefix("layer") else { continue };
        let mut parts = rest.split('.').map(str::parse::<usize>);
        let (Some(Ok(stage)), Some(Ok(block))) = (parts.next(), parts.next()) else { continue };
        let Some(count) = stage.checked_sub(1).and_then(|stage| blocks.get_mut(stage)) else {
            return Err(format!("it has {name}, a stage beyond the fourth"));
        };
        *count = (*count).max(block.saturating_add(1));
    }
    Ok(blocks)
}

/// Channels and groups of the middle convolution, reduced to the first stage's width.
fn inside(shapes: &Shapes, channels: i64, block: Block) -> Option<(i64, i64)> {
    if block == Block::Basic {
        return Some((channels, 1));
    }
    (1..=4).find_map(|stage| {
        let weight = shapes.get(&format!("layer{stage}.0.conv2.weight"))?;
        let &[outputs, inputs_per_group, ..] = weight.as_slice() else { return None };
        let groups = if inputs_per_group > 0 { outputs / inputs_per_group } else { 0 };
        Some((outputs >> (stage - 1), groups))
    })
}

/// The factor on the channels of the stem and of each stage.
fn resnet_width(shapes: &Shapes, stem: i64) -> f64 {
    let of_stage = |stage: usize| {
        let block = format!("layer{}.0", stage + 1);
        let planes = match extent(shapes, &format!("{block}.conv3.weight"), 0) {
            Some(outputs) => outputs / Block::Bottleneck.expansion(),
            None => extent(shapes, &format!("{block}.conv2.weight"), 0)?,
        };
        Some((64 << stage, planes))
    };
    let found: Vec<(i64, i64)> = (0..4).filter_map(of_stage).chain([(64, stem)]).collect();
    width(&found, stem as f64 / 64.0)
}

/// The factor that makes each published number of channels, rounded, the number found: `usual` where that is one, else the
/// one with the fewest decimals; `usual` too where none does, for a report of what does not fit.
fn width(found: &[(i64, i64)], usual: f64) -> f64 {
    const DECIMALS: i32 = 9;
    let makes = |width: f64| {
        found.iter().all(|&(published, channels)| ((published as f64 * width).round() as i64).max(1) == channels)
    };
    let bound = |half: f64| move |&(published, channels): &(i64, i64)| (channels as f64 + half) / published as f64;
    let low = found.iter().map(bound(-0.5)).fold(0.0, f64::max);
    let high = found.iter().map(bound(0.5)).fold(f64::INFINITY, f64::min);
    let middle = f64::midpoint(low, high);
    let rounded = (1..=DECIMALS).map(|decimals| (middle * 10f64.powi(decimals)).round() / 10f64.powi(decimals));
    std::iter::once(usual).chain(rounded).find(|&width| width > 0.0 && makes(width)).unwrap_or(usual)
}

fn mobilenet(shapes: &Shapes) -> Result<Architecture, String> {
    let found: Vec<(i64, i64)> =
        WIDE_LAYERS.iter().filter_map(|&(name, published)| Some((published, extent(shapes, name, 0)?))).collect();
    let &(published, channels) = found.first().ok_or("its last convolution, conv2.weight, is missing")?;
    let width = width(&found, channels as f64 / published as f64);
    if width <= 0.0 {
        return Err("its last convolution, conv2.weight, has no channels".into());
    }
    Ok(Architecture::mobilenet(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Backbone;

    /// `SwAV` published ResNet-50s of two, four and five times the channels in every stage, the stem included.
    #[test]
    fn resnet_50_of_two_four_and_five_times_the_width_is_found_again() {
        for width in [2.0, 4.0, 5.0] {
            let built = Architecture { family: Family::ResNet50, stem: Stem::Imagenet, width };
            let backbone = Backbone::outline(&built).unwrap();
            let shapes: Shapes = backbone.parameters().iter().map(|p| (p.name.clone(), p.tensor.size())).collect();
            let channels = 64 * width as i64;
            assert_eq!(shapes["conv1.weight"], [channels, 3, 7, 7]);
            assert_eq!(shapes["layer1.0.conv2.weight"], [channels, channels, 3, 3]);
            assert_eq!(shapes["layer4.2.conv3.weight"], [32 * channels, 8 * channels, 1, 1]);
            assert_eq!(architecture_of(&shapes), Ok(built));
        }
    }

    /// A network of any width up to two decimals is built again as it was from its shapes.
    #[test]
    fn every_width_is_found_again_from_the_shapes() {
        for family in
            [Family::ResNet18, Family::ResNet50, Family::ResNeXt50, Family::WideResNet50, Family::MobileNetV2Small]
        {
            for hundredths in (5..=200).step_by(if family == Family::ResNet18 { 1 } else { 7 }) {
                let stem = if family.has_stems() { Stem::Imagenet } else { Stem::Small };
                let built = Architecture { family, stem, width: f64::from(hundredths) / 100.0 };
                let shapes = |architecture: &Architecture| -> Shapes {
                    let backbone = Backbone::outline(architecture).unwrap();
                    backbone.parameters().iter().map(|p| (p.name.clone(), p.tensor.size())).collect()
                };
                let found = architecture_of(&shapes(&built)).unwrap_or_else(|error| panic!("{built:?}: {error}"));
                assert_eq!(found.family, family, "{built:?}");
                assert!(shapes(&found) == shapes(&built), "{built:?} was taken for {found:?}");
            }
        }
    }
}
