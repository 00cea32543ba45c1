//! A section of the page, and the figures in it.

use maud::{Markup, PreEscaped, html};

use super::super::charts::Drawing;

/// Something under a heading; where it cannot be shown, why.
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

/// Links to the sections.
pub(super) fn navigation(prefix: &str, sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Sections" {
            @for section in sections {
                a href={ "#" (prefix) "-" (section.id) } { (section.title) } " "
            }
        }
    }
}

/// A drawing; `title` says to a screen reader what it shows.
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

/// A table that scrolls on a narrow screen; the first cell of each row is its heading, columns of words stand left.
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
