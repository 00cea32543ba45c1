//! The unlabelled images that a run trained on: how many, with which pseudo-labels, and how many of these are right.

use maud::html;

use super::super::records::Records;
use super::section::{Section, table};
use super::words;
use crate::evaluate::figure::PROPAGATION_TOP1;
use crate::run_folder::{PseudoLabelSummary, Summary};

/// The section, if the run had unlabelled images.
pub(super) fn unlabelled(records: &Records<Summary>) -> Option<Section> {
    let summary = records.summary.as_ref()?;
    let pseudo_labels = summary.pseudo_labels.as_ref()?;
    let PseudoLabelSummary { unlabelled, left_out, without_label, classes, .. } = pseudo_labels;
    let mut counts = vec![["used".to_string(), unlabelled.to_string()]];
    counts.extend(left_out.iter().map(|(reason, images)| [format!("left out: {reason}"), images.to_string()]));
    counts.push(["without a path to a labelled image".into(), without_label.to_string()]);
    let counts: Vec<Vec<String>> = counts.into_iter().map(Vec::from).collect();
    let of_class: Vec<Vec<String>> =
        classes.iter().map(|(class, images)| vec![class.clone(), images.to_string()]).collect();
    let body = html! {
        p { (sentence(summary, pseudo_labels)) }
        (table("Unlabelled images", &["images", "number"], &counts))
        (table("Trained on, by pseudo-label", &["class", "images"], &of_class))
    };
    Some(Section { id: "unlabelled", title: "Unlabelled images", body: Ok(body) })
}

fn sentence(summary: &Summary, pseudo_labels: &PseudoLabelSummary) -> String {
    let PseudoLabelSummary { runs, unlabelled, kept, least_certainty, accuracy, kept_accuracy, .. } = pseudo_labels;
    let right = accuracy.zip(*kept_accuracy).map_or_else(String::new, |(all, kept)| {
        format!(" Of these {} have their true label, of all {}.", words::percent(kept), words::percent(all))
    });
    let propagated = summary.probe.as_ref().and_then(|probe| probe.get(PROPAGATION_TOP1.name));
    let propagated = propagated.map_or_else(String::new, |top1| {
        format!(" Label propagation alone has a top-1 of {} on the images evaluated.", words::percent(top1))
    });
    let by = if runs.is_empty() { "label propagation".into() } else { runs.join(" and ") };
    format!(
        "{unlabelled} unlabelled images were labelled by {by}; {kept} of them, with a certainty of {least_certainty:.2} or more, \
         were trained on.{right}{propagated}"
    )
}
