//! Folders of images and masks that have been exchanged.

use std::path::Path;

use super::found::Pairs;
use super::source::MaskSource;
use super::stored::{StoredValues, decode_mask};
use crate::data::{DataError, ImageSource};

/// Pairs that are compared.
const COMPARED: usize = 3;
/// Different values above which an image is a photograph.
const VALUES_OF_MASKS: usize = 64;

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Mask,
    Photograph,
    Neither,
}

/// Refuses pairs whose first images look like masks, and whose masks look like photographs.
pub(super) fn refuse_swapped(pairs: &Pairs) -> Result<(), DataError> {
    let file = |mask: &MaskSource| match mask {
        MaskSource::File(ImageSource::File(path)) => Some(path.clone()),
        _ => None,
    };
    let masks: Vec<_> = pairs.masks.iter().take(COMPARED).map_while(file).collect();
    let mut first = pairs.images.iter().zip(&masks).peekable();
    let Some((image, mask)) =
        first.peek().map(|(image, mask)| (image.display().to_string(), mask.display().to_string()))
    else {
        return Ok(());
    };
    let is_swapped = first.all(|(image, mask)| looks(mask) == Looks::Photograph && looks(image) == Looks::Mask);
    if is_swapped { Err(DataError::SwappedMasks { image, mask }) } else { Ok(()) }
}

fn looks(path: &Path) -> Looks {
    let Ok(bytes) = std::fs::read(path) else { return Looks::Neither };
    match decode_mask(&bytes, &path.display()).map(|stored| stored.values) {
        Err(DataError::MaskLossy { .. }) => Looks::Photograph,
        Err(_) | Ok(StoredValues::DeepGreys(_)) => Looks::Neither,
        Ok(StoredValues::Colors(mut colors)) => {
            colors.sort_unstable();
            colors.dedup();
            if colors.len() > VALUES_OF_MASKS { Looks::Photograph } else { Looks::Neither }
        }
        Ok(StoredValues::Indices(mut values) | StoredValues::Greys(mut values)) => {
            values.sort_unstable();
            values.dedup();
            if values.len() > VALUES_OF_MASKS { Looks::Photograph } else { Looks::Mask }
        }
    }
}
