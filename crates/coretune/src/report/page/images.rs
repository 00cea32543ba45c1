//! Features and images: the embedding before and after, mistakes, hardest pairs.

use maud::{Markup, html};
use tch::Tensor;

use super::super::ReportError;
use super::super::charts::{MOST_NAMED, scatter};
use super::super::embedding::{self, embedding};
use super::super::gallery::{self, Mistake, Pair, Shown};
use super::super::measurements::{Frozen, Measurements};
use super::super::run::Run;
use super::section::{Section, chart, table};
use super::words;
use crate::evaluate::geometry::Geometry;

pub(super) fn features(run: &Run) -> Result<Section, ReportError> {
    let body = match &run.measurements {
        Err(why) => Err(why.clone()),
        Ok(measurements) => Ok(feature_figures(measurements)?),
    };
    Ok(Section { id: "features", title: "Features before and after", body })
}

fn feature_figures(measurements: &Measurements) -> Result<Markup, ReportError> {
    let Measurements { evaluated, frozen, .. } = measurements;
    let before = match frozen {
        Ok(Frozen { features, .. }) => embedded(measurements, features, "Frozen checkpoint")?,
        Err(why) => html! { p.missing { "The frozen checkpoint is not shown: " (why) "." } },
    };
    let after = embedded(measurements, &evaluated.outputs.features, "Fine-tuned")?;
    let images = evaluated.images.len().min(embedding::IMAGES);
    Ok(html! {
        p.quiet {
            "t-SNE of the features of " (images) " images of the " (evaluated.role) " split, chosen by the seed; colour and "
            "shape are the true class. Distances between groups and sizes of groups mean nothing in such a picture; the "
            "table below is measured in the features themselves."
            @if evaluated.class_names.len() > MOST_NAMED {
                " Marks repeat after " (MOST_NAMED) " classes."
            }
        }
        div.figures { (before) (after) }
        (geometry_table(measurements))
    })
}

fn embedded(measurements: &Measurements, features: &Tensor, title: &str) -> Result<Markup, ReportError> {
    let evaluated = &measurements.evaluated;
    let chosen = gallery::chosen(evaluated.images.len(), embedding::IMAGES, evaluated.seed);
    let points = gallery::rows(features, &chosen).map_err(|error| error.to_string()).and_then(|rows| embedding(&rows));
    let points = match points {
        Ok(points) => points,
        Err(why) => return Ok(html! { p.missing { (title) " is not shown: " (why) "." } }),
    };
    let classes: Vec<usize> = chosen.iter().map(|&image| evaluated.outputs.labels[image] as usize).collect();
    let drawing = scatter(&points, &classes, measurements.class_names())?;
    Ok(chart(&drawing, &format!("{title}: t-SNE of the features"), &html! { b { (title) "." } }))
}

/// E3 before and after.
fn geometry_table(measurements: &Measurements) -> Markup {
    let frozen = measurements.frozen.as_ref().ok().map(|frozen| &frozen.geometry);
    table_of_geometry(
        "Geometry of all features of the split: squared distances within the classes and between them; less within / between is better separated",
        frozen,
        &measurements.figures.geometry,
    )
}

/// E3 of the frozen checkpoint, if it was measured, and of the fine-tuned network.
pub(super) fn table_of_geometry(caption: &str, frozen: Option<&Geometry>, tuned: &Geometry) -> Markup {
    let row = |name: &str, geometry: &Geometry| {
        let optional = |figure: Option<f64>| words::or_dash(figure.map(|figure| format!("{figure:.3}")));
        vec![
            name.to_string(),
            format!("{:.3}", geometry.within),
            format!("{:.3}", geometry.between),
            optional(geometry.within_between()),
            optional(geometry.alignment),
            optional(geometry.uniformity),
        ]
    };
    let frozen = frozen.map(|geometry| row("frozen checkpoint", geometry));
    let rows: Vec<_> = frozen.into_iter().chain([row("fine-tuned", tuned)]).collect();
    let heads = ["features", "within", "between", "within / between", "alignment", "uniformity"];
    table(caption, &heads, &rows)
}

pub(super) fn mistakes(run: &Run) -> Section {
    let body = run.measurements.as_ref().map_err(Clone::clone).and_then(|measurements| {
        let mistakes = gallery::mistakes(&measurements.evaluated).map_err(|error| error.to_string())?;
        Ok(mistake_gallery(&mistakes, measurements))
    });
    Section { id: "mistakes", title: "Most confident mistakes", body }
}

fn mistake_gallery(mistakes: &[Mistake], measurements: &Measurements) -> Markup {
    let names = measurements.class_names();
    let wrong = measurements.correct.iter().filter(|&&right| !right).count();
    html! {
        @if mistakes.is_empty() { p { "Every image of the split was predicted correctly." } }
        @else {
            p.quiet {
                (mistakes.len()) " of " (wrong) " mistakes on the " (measurements.evaluated.role) " split. Some may be "
                "wrong labels."
            }
            div.gallery {
                @for Mistake { image, predicted, confidence } in mistakes {
                    figure {
                        (picture(image, names))
                        figcaption {
                            b { (names[*predicted]) } " " (words::percent(*confidence)) br;
                            "label: " (names[image.class]) br;
                            (file(&image.path))
                        }
                    }
                }
            }
            (list_of_files(mistakes.iter().map(|mistake| &*mistake.image.path)))
        }
    }
}

pub(super) fn pairs(run: &Run) -> Section {
    let body = run.measurements.as_ref().map_err(Clone::clone).and_then(|measurements| {
        let pairs = gallery::pairs(&measurements.evaluated).map_err(|error| error.to_string())?;
        let names = measurements.class_names();
        Ok(html! {
            p.quiet { "Among " (pairs.mined) " images of the " (measurements.evaluated.role) " split, by the cosine of the fine-tuned features." }
            h4 { "Same class, least similar" }
            (pair_gallery(&pairs.positives, names))
            h4 { "Different classes, most similar" }
            (pair_gallery(&pairs.negatives, names))
            @let all = pairs.positives.iter().chain(&pairs.negatives);
            (list_of_files(all.flat_map(|pair| &pair.images).map(|image| &*image.path)))
        })
    });
    Section { id: "pairs", title: "Hardest pairs", body }
}

fn pair_gallery(pairs: &[Pair], names: &[String]) -> Markup {
    html! {
        @if pairs.is_empty() { p { "There are no such pairs." } }
        div.gallery.pairs {
            @for Pair { images: [a, b], cosine } in pairs {
                figure {
                    div.two { (picture(a, names)) (picture(b, names)) }
                    figcaption {
                        @if a.class == b.class { b { (names[a.class]) } } @else { b { (names[a.class]) } " and " b { (names[b.class]) } }
                        br; (format!("cosine {cosine:.2}")) br; (file(&a.path)) br; (file(&b.path))
                    }
                }
            }
        }
    }
}

/// The end of a path; a pointer over it shows the whole.
pub(super) fn file(path: &str) -> Markup {
    html! { span.file title=(path) { (gallery::short(path)) } }
}

/// The paths of images that are shown, to be opened and copied; each once.
pub(super) fn list_of_files<'a>(paths: impl Iterator<Item = &'a str>) -> Markup {
    let mut known: Vec<&str> = Vec::new();
    for path in paths {
        if !known.contains(&path) {
            known.push(path);
        }
    }
    html! {
        @if !known.is_empty() {
            details {
                summary { "Files of these images" }
                pre { (known.join("\n")) }
            }
        }
    }
}

fn picture(shown: &Shown, names: &[String]) -> Markup {
    match &shown.thumbnail {
        Ok(uri) => {
            let class = if uri.starts_with("data:image/png") { "small" } else { "scaled" };
            html! { img class=(class) src=(uri) title=(shown.path) alt={ (gallery::short(&shown.path)) ", labelled " (names[shown.class]) }; }
        }
        Err(why) => html! { div.none { (why) } },
    }
}
