//! Unlabelled images: which may be used, which labels they were given, and which of them a run trains on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::splits::Splits;
use crate::config::{DataCheck, DataSection, UnlabelledFrom};
use crate::data::{DataError, Dataset, Exclusion, Separated, Split, separate, unlabelled_images};
use crate::engine::World;
use crate::evaluate::label_propagation::{LabelPropagation, PseudoLabel, Watch, most_certain};
use crate::run_folder::{PseudoLabelRecord, PseudoLabelSummary};
use crate::runs::RunError;
use crate::train::{Event, Observer};

/// Images that may be used without their labels.
pub(super) struct Candidates {
    /// The images; as labels the true ones of the rest of the training split, which training does not read, else 0.
    pub(super) images: Split,
    has_truth: bool,
    left_out: BTreeMap<Exclusion, usize>,
}

/// Unlabelled images with their pseudo-labels.
pub struct Unlabelled {
    candidates: Candidates,
    /// The runs that have labelled them; none: label propagation has.
    runs: Vec<PathBuf>,
    /// What each was given, by the image's place among the candidates.
    labels: Vec<Option<PseudoLabel>>,
    /// Places of the images that are trained on, ascending.
    kept: Vec<usize>,
    /// The images that are trained on, with their pseudo-labels.
    pseudo_labelled: Split,
    /// The labelled images, then these.
    pool: Split,
    /// Predicts other images, on rank 0; `None` once it is not needed any more.
    propagation: Option<LabelPropagation>,
}

impl Candidates {
    /// The unlabelled images that the configuration names, if any, without those that the splits have.
    pub(super) fn find(
        dataset: &Dataset,
        splits: &Splits,
        data: &DataSection,
        world: World,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Self>, RunError> {
        let Some(from) = data.unlabelled_from() else { return Ok(None) };
        let (images, has_truth) = match from {
            UnlabelledFrom::Rest => (splits.rest_of_train(dataset)?, true),
            UnlabelledFrom::Path(path) => {
                let (images, _) = unlabelled_images(path, dataset.bit_depth())?;
                let labels = vec![0; images.len()];
                (Split::new(images, labels, dataset.classes.clone())?.with_bit_depth(dataset.bit_depth()), false)
            }
        };
        observer(&Event::Stage("check of the unlabelled images"));
        let decode = data.check == DataCheck::Full;
        let mut progress = |done, total| observer(&Event::Progress { done, total });
        let Separated { usable, left_out, unreadable } =
            world.by_first(|| separate(&images, &splits.present(), decode, &mut progress).map_err(RunError::from))?;
        if usable.is_empty() {
            let path = data.unlabelled.clone().unwrap_or_default();
            return Err(RunError::NothingUnlabelled { path, found: in_words(images.len(), &left_out) });
        }
        if let Some(first) = unreadable.first() {
            observer(&Event::Note(format!("unlabelled images that cannot be read are left out: {first}")));
        }
        Ok(Some(Candidates { images: images.subset(&usable)?, has_truth, left_out }))
    }
}

/// The same counts by the words for the reasons.
fn by_word(left_out: &BTreeMap<Exclusion, usize>) -> BTreeMap<String, usize> {
    let counts = serde_json::to_value(left_out).and_then(serde_json::from_value);
    counts.expect("serde names a reason by one word")
}

/// `120 images: 20 with the bytes of a test image, 100 that cannot be read`
fn in_words(images: usize, left_out: &BTreeMap<Exclusion, usize>) -> String {
    let reasons: Vec<String> = left_out.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    match reasons.len() {
        0 => format!("{images} images"),
        _ => format!("{images} images: {}", reasons.join(", ")),
    }
}

/// The images as the cache of features knows them, whatever is known of their labels.
pub(super) fn without_labels(images: &Split) -> Result<Split, DataError> {
    images.with_labels(vec![0; images.len()])
}

/// What each image was given, and on rank 0 the graph that predicts others, if there is one.
pub(super) type Labelled = (Vec<Option<PseudoLabel>>, Option<LabelPropagation>);

impl Unlabelled {
    /// Chooses the images that are trained on beside the `labelled` ones.
    pub(super) fn choose(
        candidates: Candidates,
        (labels, propagation): Labelled,
        labelled: &Split,
        data: &DataSection,
    ) -> Result<Self, RunError> {
        let kept = most_certain(&labels, labelled.classes().len() as i64, data.pseudo_label_fraction);
        if kept.is_empty() {
            return Err(RunError::NothingPropagated { images: labels.len() });
        }
        let pseudo = kept.iter().filter_map(|&place| labels[place]).map(|label| label.class).collect();
        let pseudo_labelled = candidates.images.subset(&kept)?.with_labels(pseudo)?;
        let pool = labelled.followed_by(&pseudo_labelled)?;
        let runs = data.pseudo_labels_from.clone();
        Ok(Unlabelled { candidates, runs, labels, kept, pseudo_labelled, pool, propagation })
    }

    /// The labelled images, then those with pseudo-labels that are trained on.
    pub(super) fn pool(&self) -> &Split {
        &self.pool
    }

    /// Fraction of other images, with these features, whose propagated label is theirs; `None` once the graph is dropped.
    pub(super) fn top1(
        &self,
        features: &tch::Tensor,
        labels: &[i64],
        watch: &mut Watch<'_>,
    ) -> Result<Option<f64>, RunError> {
        let Some(propagation) = &self.propagation else { return Ok(None) };
        let predicted = propagation.predict(features, watch)?;
        let right = predicted.iter().zip(labels).filter(|(found, label)| found.is_some_and(|f| f.class == **label));
        Ok(Some(right.count() as f64 / labels.len() as f64))
    }

    /// Frees the memory of the graph, which training does not need.
    pub(super) fn drop_graph(&mut self) {
        self.propagation = None;
    }

    /// Hashes of what the run depends on, by their names in `provenance.json`.
    pub(super) fn content_hashes(&self) -> Result<BTreeMap<String, String>, RunError> {
        Ok(BTreeMap::from([
            ("unlabelled".to_string(), without_labels(&self.candidates.images)?.content_hash()?),
            ("pseudo_labels".to_string(), self.pseudo_labelled.content_hash()?),
        ]))
    }

    /// A line for each unlabelled image that was given a label.
    pub(super) fn records(&self) -> Vec<PseudoLabelRecord> {
        let classes = self.pool.classes();
        let record = |(place, label): (usize, &Option<PseudoLabel>)| {
            let PseudoLabel { class, certainty } = (*label)?;
            Some(PseudoLabelRecord {
                image: self.candidates.images.images()[place].to_string(),
                class: classes[class as usize].clone(),
                certainty,
                kept: self.kept.binary_search(&place).is_ok(),
            })
        };
        self.labels.iter().enumerate().filter_map(record).collect()
    }

    /// What became of the unlabelled images, in figures.
    pub fn summary(&self) -> PseudoLabelSummary {
        let Candidates { images, has_truth, left_out } = &self.candidates;
        let of = |place: &usize| self.labels[*place];
        let is_right = |place: &usize| of(place).is_some_and(|label| label.class == images.labels()[*place]);
        let accuracy = |places: &[usize]| {
            let right = places.iter().filter(|place| is_right(place)).count();
            has_truth.then(|| right as f64 / places.len().max(1) as f64)
        };
        let everything: Vec<usize> = (0..images.len()).collect();
        let certainties = self.kept.iter().filter_map(of).map(|label| label.certainty);
        let counts = self.pseudo_labelled.class_counts();
        PseudoLabelSummary {
            runs: self.runs.iter().map(|run| run.display().to_string()).collect(),
            unlabelled: images.len(),
            left_out: by_word(left_out),
            without_label: self.labels.iter().filter(|label| label.is_none()).count(),
            kept: self.kept.len(),
            least_certainty: certainties.fold(1.0, f64::min),
            classes: images.classes().iter().cloned().zip(counts).collect(),
            accuracy: accuracy(&everything),
            kept_accuracy: accuracy(&self.kept),
        }
    }
}
