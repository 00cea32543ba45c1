//! `coretune data show DIR`: images, and masks laid over them, as a training step gets them.

use coretune::config::{Input, Layers};
use coretune::data::{ContactSheet, DataError, Dataset, Role, Split};
use coretune::train::TrainError;
use coretune::transforms::{Framing, mean_color};
use serde::Serialize;

use crate::args::{DataShow as Arguments, Flags};
use crate::failure::Failure;
use crate::printer::Printer;

/// What is printed as JSON.
#[derive(Serialize)]
struct Page {
    output: String,
    split: Role,
    columns: usize,
    images: Vec<Shown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    colors: Vec<Color>,
}

/// An image of the page.
#[derive(Serialize)]
struct Shown {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<String>,
}

/// A class and its colour in the masks of the page.
#[derive(Serialize)]
struct Color {
    class: String,
    color: [u8; 3],
}

pub(crate) fn run(arguments: &Arguments, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let layers = flags.over(Layers::defaults())?;
    let (data, segmentation) = (layers.data_section(&arguments.dir)?, layers.segmentation_section());
    let dataset = Dataset::open(&data.dir, &data.options()).map_err(TrainError::from)?;
    let role = match arguments.split.as_str() {
        "train" => Role::Train,
        "test" => Role::Test,
        _ => Role::Validation,
    };
    let split = chosen(&dataset, role).map_err(TrainError::from)?;
    let (width, height) = split.load(0).map_err(TrainError::from)?.dimensions();
    let smaller_side = width.min(height);
    let input = Input::of_new_network(smaller_side);
    let transform = if split.masks().is_some() {
        let (crop, mean) = (segmentation.crop_of(smaller_side), data.mean.unwrap_or(input.mean));
        segmentation.augmentation(crop, mean).transform(data.interpolation)
    } else {
        let size = data.img_size.unwrap_or(input.img_size) as u32;
        let fill = mean_color(data.mean.unwrap_or(input.mean));
        let framing = Framing { size, mode: data.resize_mode, fill, interpolation: data.interpolation };
        framing.train(data.augment.unwrap_or(input.augment))
    };
    let transform = transform.map_err(TrainError::from)?;
    let sheet =
        ContactSheet::new(split, transform, arguments.images as usize, arguments.seed).map_err(TrainError::from)?;
    sheet.save(&arguments.output).map_err(TrainError::from)?;
    report(&printer, arguments, split, role, &sheet)
}

fn chosen(dataset: &Dataset, role: Role) -> Result<&Split, DataError> {
    dataset.split(role).ok_or_else(|| {
        let present =
            [Role::Train, Role::Validation, Role::Test].into_iter().filter(|role| dataset.split(*role).is_some());
        let found: Vec<String> = present.map(|role| role.to_string()).collect();
        DataError::SplitMissing { path: dataset.root.clone(), split: role.to_string(), found: found.join(", ") }
    })
}

/// What is on the page, row by row: classes, or the names of the files; and the colours of the masks.
fn report(
    printer: &Printer,
    arguments: &Arguments,
    split: &Split,
    role: Role,
    sheet: &ContactSheet,
) -> Result<(), Failure> {
    let name = |index: usize| {
        let path = split.images()[index].to_string();
        path.rsplit('/').next().unwrap_or(&path).to_string()
    };
    let class = |index: usize| split.labels().get(index).map(|&label| split.classes()[label as usize].clone());
    let output = arguments.output.display().to_string();
    let (images, all) = (sheet.shown.len(), split.len());
    printer.result("sheet", format_args!("{output}: {images} of {all} images of {role}, as training sees them"))?;
    for (row, shown) in sheet.shown.chunks(sheet.columns).enumerate() {
        let names: Vec<String> = shown.iter().map(|&index| class(index).unwrap_or_else(|| name(index))).collect();
        printer.result(&format!("row {}", row + 1), names.join(", "))?;
    }
    let mut colors = Vec::new();
    if let Some(masks) = split.masks() {
        let pairs = split.classes().iter().cloned().zip(masks.coding().colors().iter().copied());
        colors = pairs.map(|(class, color)| Color { class, color }).collect();
        let text = |Color { class, color: [r, g, b] }: &Color| format!("{class} {r},{g},{b}");
        printer.result("colours", colors.iter().map(text).collect::<Vec<_>>().join("; "))?;
    }
    let images = sheet.shown.iter().map(|&index| Shown {
        image: split.images()[index].to_string(),
        class: class(index),
        mask: split.masks().map(|masks| masks.files()[index].to_string()),
    });
    printer.json(&Page { output, split: role, columns: sheet.columns, images: images.collect(), colors })
}
