//! Images that are identical byte for byte.

use std::collections::HashMap;

use super::Split;

/// An image: position of its split in a list, and its position in the split.
pub(super) type Place = (usize, usize);

/// An image whose bytes earlier images have too, and the first of those in each respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repetition {
    pub(super) image: Place,
    /// With another label.
    pub(super) other_label: Option<Place>,
    /// Of the same split, with the same label.
    pub(super) same_class: Option<Place>,
}

/// The images whose bytes earlier images have, in order.
pub(super) fn repetitions(splits: &[&Split], contents: &[Vec<Option<blake3::Hash>>]) -> Vec<Repetition> {
    let label = |(split, image): Place| splits[split].labels().get(image);
    let mut places: HashMap<blake3::Hash, Vec<Place>> = HashMap::new();
    let mut repetitions = Vec::new();
    for (split, contents) in contents.iter().enumerate() {
        for (image, content) in contents.iter().enumerate() {
            let Some(content) = content else { continue };
            let (earlier, image) = (places.entry(*content).or_default(), (split, image));
            if !earlier.is_empty() {
                let find = |wanted: &dyn Fn(Place) -> bool| earlier.iter().copied().find(|&place| wanted(place));
                repetitions.push(Repetition {
                    image,
                    other_label: find(&|place| label(place) != label(image)),
                    same_class: find(&|place| place.0 == split && label(place) == label(image)),
                });
            }
            earlier.push(image);
        }
    }
    repetitions
}
