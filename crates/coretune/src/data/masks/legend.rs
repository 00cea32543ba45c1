use serde::{Deserialize, Serialize};

use super::coding::class_color;
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
