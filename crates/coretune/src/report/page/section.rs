//! A section of the page, and the figures in it.

use maud::{Markup, PreEscaped, html};

use super::super::charts::Drawing;

/// Something under a heading, or why it cannot be shown.
pub(super) struct Section {
    /// Part of its anchor.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Result<Markup, String>,
}

impl Section {
    pub(super) fn show(&self, prefix: &str) -> Markup {
        html! {
            section id={ (prefix) "-" (self.id) } {
                h3 { (self.title) }
                @match &self.body {
                    Ok(body) => (body),
                    Err(why) => p.missing { "Not shown: " (why) "." },
                }
            }
        }
    }
}

/// One run: its name, its headline, and its sections.
pub(super) fn one_run(name: &str, headline: &Markup, sections: &[Section]) -> Markup {
    html! {
        h1 { (name) }
        (headline)
        (navigation("run", sections))
        @for section in sections { (section.show("run")) }
    }
}

/// Several runs: their comparison, then each of them, folded.
pub(super) fn several_runs(comparison: &Markup, runs: &[(String, Markup, Vec<Section>)]) -> Markup {
    html! {
        h1 { (runs.len()) " runs side by side" }
        (comparison)
        h2 { "Each run" }
        @for (number, (name, headline, sections)) in runs.iter().enumerate() {
            @let prefix = format!("run{}", number + 1);
            details.run id=(prefix) {
                summary { (name) }
                (headline)
                (navigation(&prefix, sections))
                @for section in sections { (section.show(&prefix)) }
            }
        }
    }
}

/// A figure with its name above and a note below.
pub(super) fn tile(name: &str, figure: &str, note: Option<String>) -> Markup {
    html! { div { dt { (name) } dd { (figure) @if let Some(note) = note { small { (note) } } } } }
}

/// Links to the sections.
fn navigation(prefix: &str, sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Sections" {
            @for section in sections {
                a href={ "#" (prefix) "-" (section.id) } { (section.title) } " "
            }
        }
    }
}

/// A drawing; `title` describes it to a screen reader.
pub(super) fn chart(drawing: &Drawing, title: &str, caption: &Markup) -> Markup {
    let (width, height) = drawing.size;
    html! {
        figure.chart {
            svg viewBox={ "0 0 " (width) " " (height) } style={ "max-width:" (drawing.width) "px" } role="img" aria-label=(title) {
                title { (title) }
                (PreEscaped(&drawing.content))
            }
            figcaption { (caption) }
        }
    }
}

/// A table that scrolls on a narrow screen; the first cell of each row is its heading, columns of words are aligned left.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                @if !heads.is_empty() {
                    thead { tr {
                        @for (column, head) in heads.iter().enumerate() {
                            th.words[has_words(rows, column)] scope="col" { (head) }
                        }
                    } }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" title=(cell) { (cell) } }
                                @else { td.words[has_words(rows, index)] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn has_words(rows: &[Vec<String>], column: usize) -> bool {
    let is_word = |cell: &String| cell.chars().next().is_some_and(char::is_alphabetic);
    rows.iter().any(|row| row.get(column).is_some_and(is_word))
}
