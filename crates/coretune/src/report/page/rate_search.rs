//! The learning rates that `coretune fit --lr auto` tried before the run.

use std::fs;
use std::path::Path;

use maud::html;

use super::section::{Section, table};
use super::words;
use crate::compare::Sweep;

/// The file in a run folder with what `coretune fit --lr auto` tried first.
pub const RATE_SEARCH: &str = "lr_search.json";

/// A section about the search in a run folder, if there was one.
pub(super) fn rate_search(folder: &Path) -> Option<Section> {
    let text = fs::read_to_string(folder.join(RATE_SEARCH)).ok()?;
    let body = match serde_json::from_str::<Sweep>(&text) {
        Ok(sweep) => Ok(of(&sweep)),
        Err(error) => Err(format!("{RATE_SEARCH} cannot be read: {error}")),
    };
    Some(Section { id: "rates", title: "Learning rates tried first", body })
}

fn of(sweep: &Sweep) -> maud::Markup {
    let of_pixels = sweep.stages.iter().flat_map(|stage| &stage.points).any(|point| point.mean_iou.is_some());
    let best = sweep.best.as_ref().map(|best| best.name.clone());
    let rows = sweep.stages.iter().flat_map(|stage| stage.points.iter().map(move |point| (stage.epochs, point)));
    let rows = rows.filter_map(|(epochs, point)| {
        let (_, rate) = point.name.split_once(":lr=")?;
        Some(vec![
            rate.to_string(),
            epochs.to_string(),
            words::or_dash(point.validation_score.map(|score| {
                // The score of segmentation is the mean IoU with a minus sign: the lowest score is the best.
                if of_pixels { words::percent(-score) } else { format!("{score:.3}") }
            })),
            words::or_dash(point.top1.or(point.mean_iou).map(words::percent)),
            if best.as_ref() == Some(&point.name) { "chosen".into() } else { String::new() },
        ])
    });
    let (headings, chosen_by) = if of_pixels {
        (["rate", "epochs", "validation mean IoU", "mean IoU", ""], "highest mean IoU")
    } else {
        (["rate", "epochs", "validation loss", "top-1", ""], "lowest loss")
    };
    html! {
        (table("Learning rates", &headings, &rows.collect::<Vec<_>>()))
        p.quiet { "Short runs before this one; the " (chosen_by) " of the validation images chose the rate." }
    }
}
