//! How the classes of a run look in mask files.

use serde::{Deserialize, Serialize};

use crate::transforms::IGNORED;

/// How the classes of a run look in mask files: the number and the colour of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskLegend {
    /// What a pixel of each class has in the masks that the run was trained on.
    pub values: Vec<u16>,
    /// Red, green, blue of each class.
    pub colors: Vec<[u8; 3]>,
}

impl MaskLegend {
    /// The positions of the classes as values, in the colours of PASCAL VOC.
    pub fn usual(classes: usize) -> Self {
        let classes = || (0..=IGNORED).take(classes);
        MaskLegend { values: classes().map(u16::from).collect(), colors: classes().map(class_color).collect() }
    }

    /// Whether it has a value and a colour for each of so many classes.
    pub(crate) fn has(&self, classes: usize) -> bool {
        (self.values.len(), self.colors.len()) == (classes, classes)
    }
}

/// The colour of a class by its position, as PASCAL VOC has it: the bits of the position, spread over the highest bits of
/// red, green and blue.
pub fn class_color(class: u8) -> [u8; 3] {
    let mut color = [0; 3];
    let mut rest = class;
    for bit in (0..8).rev() {
        for (channel, value) in color.iter_mut().enumerate() {
            *value |= (rest >> channel & 1) << bit;
        }
        rest >>= 3;
    }
    color
}
