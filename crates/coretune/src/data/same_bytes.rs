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

/// What an image is labelled with.
#[derive(PartialEq, Eq)]
enum Label {
    Class(Option<i64>),
    /// A hash of the classes of its pixels, or of the file if that cannot be read.
    Mask(Option<blake3::Hash>),
}

impl Label {
    fn of(split: &Split, image: usize) -> Self {
        let Some(masks) = split.masks() else { return Label::Class(split.labels().get(image).copied()) };
        let pixels = masks.load(image).map(|mask| blake3::hash(mask.as_raw()));
        Label::Mask(pixels.or_else(|_| masks.files()[image].content_hash()).ok())
    }
}

/// The images whose bytes earlier images have, in order.
pub(super) fn repetitions(splits: &[&Split], contents: &[Vec<Option<blake3::Hash>>]) -> Vec<Repetition> {
    let mut labels: HashMap<Place, Label> = HashMap::new();
    let mut places: HashMap<blake3::Hash, Vec<Place>> = HashMap::new();
    let mut repetitions = Vec::new();
    for (split, contents) in contents.iter().enumerate() {
        for (image, content) in contents.iter().enumerate() {
            let Some(content) = content else { continue };
            let (earlier, image) = (places.entry(*content).or_default(), (split, image));
            if let Some(&first) = earlier.first() {
                for place in [first, image] {
                    labels.entry(place).or_insert_with(|| Label::of(splits[place.0], place.1));
                }
                let label = |place: Place| labels.get(&place);
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
