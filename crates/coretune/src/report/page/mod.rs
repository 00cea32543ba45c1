//! The page: text and figures of each run; where there are several, a comparison first.
//!
//! `maud` escapes whatever is put into a template; only what `charts` drew goes in as it is.

mod comparison;
mod curves;
mod images;
mod outcome;
mod section;
mod settings;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{ReportError, Run};
use section::Section;

const STYLE: &str = include_str!("style.css");

/// The whole file.
pub(super) fn page(runs: &[Run]) -> Result<String, ReportError> {
    let body = match runs {
        [run] => alone(run)?,
        _ => side_by_side(runs)?,
    };
    let title = match runs {
        [run] => run.records.name.clone(),
        _ => format!("{} runs", runs.len()),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // No icon is asked for: the page fetches nothing.
                link rel="icon" href="data:,";
                title { (title) " – coretune report" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } (footer(runs)) }
        }
    };
    Ok(page.into_string())
}

fn alone(run: &Run) -> Result<Markup, ReportError> {
    let sections = sections(run)?;
    Ok(html! {
        h1 { (run.records.name) }
        (outcome::headline(run))
        (section::navigation("run", &sections))
        @for section in &sections { (section.show("run")) }
    })
}

fn side_by_side(runs: &[Run]) -> Result<Markup, ReportError> {
    let comparison = comparison::comparison(runs)?;
    let runs = runs.iter().map(|run| Ok((run, sections(run)?))).collect::<Result<Vec<_>, ReportError>>()?;
    Ok(html! {
        h1 { (runs.len()) " runs side by side" }
        (comparison)
        h2 { "Each run" }
        @for (number, (run, sections)) in runs.iter().enumerate() {
            @let prefix = format!("run{}", number + 1);
            details.run id=(prefix) {
                summary { (run.records.name) }
                (outcome::headline(run))
                (section::navigation(&prefix, sections))
                @for section in sections { (section.show(&prefix)) }
            }
        }
    })
}

fn sections(run: &Run) -> Result<Vec<Section>, ReportError> {
    Ok(vec![
        curves::training(run)?,
        outcome::classes(run),
        outcome::confusion(run)?,
        outcome::reliability(run)?,
        images::features(run)?,
        images::mistakes(run),
        images::pairs(run),
        settings::cost(run),
        settings::configuration(run),
        settings::provenance(run),
    ])
}

fn footer(runs: &[Run]) -> Markup {
    let folders = runs.iter().map(|run| run.records.folder.display().to_string()).collect::<Vec<_>>();
    html! {
        footer.quiet {
            p { "Written by coretune " (env!("CARGO_PKG_VERSION")) " from " (folders.join(", ")) ". This file needs no network." }
        }
    }
}
