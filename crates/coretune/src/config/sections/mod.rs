//! The settings, a file for each section: its table, and the struct that holds its values.

mod checkpoint;
mod data;
mod method;
mod model;
mod pretrain;
mod run;
mod segmentation;
mod train;

use std::sync::LazyLock;

pub use checkpoint::{CheckpointSection, PretrainCheckpointSection};
pub use data::{DataSection, REST, UnlabelledFrom};
pub use method::MethodSection;
pub use model::ModelSection;
pub use pretrain::PretrainSection;
pub use run::RunSection;
pub use segmentation::SegmentationSection;
pub use train::TrainSection;

use crate::objectives::Method;
use crate::settings::{RunKind, Setting};

/// Every setting, section by section, in the order in which they are shown.
pub fn settings() -> &'static [&'static Setting] {
    static ALL: LazyLock<Vec<&'static Setting>> = LazyLock::new(|| {
        let before = [checkpoint::SETTINGS, model::SETTINGS, data::SETTINGS, method::SETTINGS].into_iter().flatten();
        let after = [train::SETTINGS, run::SETTINGS].into_iter().flatten();
        before
            .chain(Method::settings_of(RunKind::FineTuning))
            .chain(segmentation::SETTINGS)
            .chain(pretrain::SETTINGS)
            .chain(Method::settings_of(RunKind::Pretraining))
            .chain(after)
            .collect()
    });
    &ALL
}

/// The setting of this key.
pub fn find_setting(key: &str) -> Option<&'static Setting> {
    settings().iter().copied().find(|setting| setting.key == key)
}
