//! The labels of unlabelled images: by label propagation (B13), or by earlier runs.

use super::Task;
use super::unlabelled::{Candidates, Labelled, Unlabelled, without_labels};
use crate::config::DataSection;
use crate::data::Split;
use crate::evaluate::label_propagation::{self, LabelPropagation, Watch};
use crate::models::Backbone;
use crate::runs::RunError;
use crate::train::{Event, Observer};

impl Task {
    /// Gives the unlabelled images labels, and chooses those that are trained on.
    pub(super) fn label_candidates(
        &self,
        backbone: &Backbone,
        candidates: Candidates,
        observer: &mut Observer<'_>,
    ) -> Result<Unlabelled, RunError> {
        let data = &self.config.data;
        let (labels, propagation) = if data.pseudo_labels_from.is_empty() {
            self.propagated(backbone, &candidates.images, observer)?
        } else {
            (self.labels_by_runs(&data.pseudo_labels_from, &candidates.images, observer)?, None)
        };
        Unlabelled::choose(candidates, (labels, propagation), &self.splits.train, data)
    }

    /// The labels that label propagation gives to images, and on rank 0 the graph.
    fn propagated(
        &self,
        backbone: &Backbone,
        images: &Split,
        observer: &mut Observer<'_>,
    ) -> Result<Labelled, RunError> {
        observer(&Event::Stage("features of labelled and unlabelled images"));
        let labelled = self.frozen_features(backbone, &self.splits.train, observer)?;
        let unlabelled = self.frozen_features(backbone, &without_labels(images)?, observer)?;
        observer(&Event::Stage("label propagation"));
        let mut progress = |done, total| observer(&Event::Progress { done, total });
        let mut watch = Watch { stop: &self.stop, progress: &mut progress };
        let (classes, settings) = (self.classes.len() as i64, settings(&self.config.data));
        let rows = (&labelled, self.splits.train.labels());
        let mut graph = None;
        let labels = self.world.by_first(|| {
            let propagation = LabelPropagation::new(rows, &unlabelled, classes, settings, &mut watch)?;
            Ok::<_, RunError>(graph.insert(propagation).pseudo_labels())
        })?;
        Ok((labels, graph))
    }

    /// The images that are trained on: the labelled ones, and those with pseudo-labels.
    pub fn training_split(&self) -> &Split {
        self.unlabelled.as_ref().map_or(&self.splits.train, Unlabelled::pool)
    }
}

fn settings(data: &DataSection) -> label_propagation::Settings {
    label_propagation::Settings {
        neighbours: data.propagation_neighbours,
        alpha: data.propagation_alpha,
        power: data.propagation_power,
    }
}
