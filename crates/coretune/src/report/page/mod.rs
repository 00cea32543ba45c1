//! The page: text and figures of each run; of several runs, a comparison first.
//!
//! `maud` escapes whatever is put into a template; only the drawings of `charts` go in as they are.

mod comparison;
mod curves;
mod images;
mod methods;
mod outcome;
mod pretraining;
mod rate_search;
mod section;
mod segmentation;
mod settings;
mod unlabelled;
mod words;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ReportError;
use super::records::Records;
use super::run::{Run, SegmentationRun};
use crate::compare::Comparison;
use crate::run_folder::PretrainSummary;
pub use rate_search::RATE_SEARCH;
use section::Section;

const STYLE: &str = include_str!("style.css");

/// The whole file.
pub(super) fn page(runs: &[Run]) -> Result<String, ReportError> {
    let body = match runs {
        [run] => alone(run)?,
        _ => side_by_side(runs)?,
    };
    Ok(document(
        &runs.iter().map(|run| (run.records.name.as_str(), run.records.folder.as_path())).collect::<Vec<_>>(),
        &body,
    ))
}

/// The whole file about runs that segment images.
pub(super) fn segmentation_page(runs: &[SegmentationRun]) -> Result<String, ReportError> {
    let body = match runs {
        [run] => segmentation::alone(run)?,
        _ => segmentation::side_by_side(runs)?,
    };
    let named = runs.iter().map(|run| (run.records.name.as_str(), run.records.folder.as_path()));
    Ok(document(&named.collect::<Vec<_>>(), &body))
}

/// The whole file about pre-training.
pub(super) fn pretraining_page(runs: &[Records<PretrainSummary>]) -> Result<String, ReportError> {
    let body = match runs {
        [run] => pretraining::alone(run)?,
        _ => pretraining::side_by_side(runs)?,
    };
    Ok(document(&runs.iter().map(|run| (run.name.as_str(), run.folder.as_path())).collect::<Vec<_>>(), &body))
}

/// The whole file about a comparison of methods in this folder.
pub(super) fn methods_page(comparison: &Comparison, folder: &Path) -> Result<String, ReportError> {
    Ok(document(&[("comparison of methods", folder)], &methods::methods(comparison)?))
}

/// The file around `body`, with the names and folders of the runs.
fn document(runs: &[(&str, &Path)], body: &Markup) -> String {
    let title = match runs {
        [(name, _)] => (*name).to_string(),
        _ => format!("{} runs", runs.len()),
    };
    let folders = runs.iter().map(|(_, folder)| folder.display().to_string()).collect::<Vec<_>>();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // An empty icon: the page fetches nothing.
                link rel="icon" href="data:,";
                title { (title) " – coretune report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer.quiet {
                    p {
                        "Written by coretune " (env!("CARGO_PKG_VERSION")) " from " (folders.join(", "))
                        ". This file needs no network."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn alone(run: &Run) -> Result<Markup, ReportError> {
    Ok(section::one_run(&run.records.name, &outcome::headline(run), &sections(run)?))
}

fn side_by_side(runs: &[Run]) -> Result<Markup, ReportError> {
    let comparison = comparison::comparison(runs)?;
    let each = |run: &Run| Ok((run.records.name.clone(), outcome::headline(run), sections(run)?));
    let runs = runs.iter().map(each).collect::<Result<Vec<_>, ReportError>>()?;
    Ok(section::several_runs(&comparison, &runs))
}

fn sections(run: &Run) -> Result<Vec<Section>, ReportError> {
    let search = rate_search::rate_search(&run.records.folder);
    let others = vec![
        curves::training(run)?,
        outcome::classes(run),
        outcome::confusion(run)?,
        outcome::reliability(run)?,
        images::features(run)?,
        images::mistakes(run),
        images::pairs(run),
        settings::cost(&run.records),
        settings::configuration(&run.records),
        settings::provenance(&run.records),
    ];
    let unlabelled = unlabelled::unlabelled(&run.records);
    Ok(search.into_iter().chain(unlabelled).chain(others).collect())
}
