//! How an image file becomes the input of an exported model, as a Python function of Pillow and NumPy.

use std::path::{Path, PathBuf};

use super::{ExportError, Format};
use crate::data::BitDepthRange;
use crate::files::{beside, write_whole};
use crate::saved_models::ModelDescription;
use crate::train::TrainError;
use crate::transforms::{Framing, Interpolation, ResizeMode};

/// `preprocess(path)`, which gives the input f32 `[1, 3, img_size, img_size]` of the model in a file of this format: as
/// `coretune evaluate` prepares an image, by the same rounding. Of 16-bit colour Pillow reads the upper bytes alone: with
/// another range of values than all of them the function refuses such an image.
///
/// # Errors
/// [`TrainError::Transform`] when the crop is out of range.
pub(super) fn recipe(description: &ModelDescription, format: Format) -> Result<String, TrainError> {
    let framing = description.framing();
    let side = Framing::resized_side(framing.size, description.crop_pct)?;
    let mut lines = vec![
        "import numpy".to_string(),
        "from PIL import Image, ImageOps".into(),
        String::new(),
        "def preprocess(path):".into(),
    ];
    lines.extend(opened(description.bit_depth_range.unwrap_or_default()));
    lines.extend(resized(&framing, side));
    if framing.mode == ResizeMode::Crop || side != framing.size {
        lines.extend(cropped(framing.size));
    }
    lines.push("    pixels = numpy.asarray(image, dtype=numpy.float32).transpose(2, 0, 1)[None] / 255".into());
    lines.push(match format {
        Format::Onnx => "    return pixels  # the graph normalises".into(),
        Format::Safetensors | Format::Torch => normalised(description),
    });
    Ok(lines.join("\n"))
}

/// `<output>.preprocess.py`.
pub(super) fn script_of(output: &Path) -> PathBuf {
    beside(output, ".preprocess.py")
}

/// Writes the function beside the export; gives its path.
pub(super) fn write(output: &Path, function: &str) -> Result<PathBuf, ExportError> {
    let script = script_of(output);
    write_whole(&script, format!("{function}\n").as_bytes()).map_err(ExportError::write(&script))?;
    Ok(script)
}

/// The upright image in RGB. Pillow keeps 16 bits of grey, which its conversion to RGB would clip to white.
fn opened(range: BitDepthRange) -> Vec<String> {
    let (low, high) = (range.low(), range.high());
    let width = high - low;
    let bytes = if range.is_full() {
        vec!["        values = numpy.asarray(image) >> 8".to_string()]
    } else {
        vec![
            format!("        values = numpy.asarray(image).astype(int).clip({low}, {high})"),
            format!("        values = ((values - {low}) * 255 + {}) // {width}", width / 2),
        ]
    };
    let refused = [
        "    if image.mode[0] != \"I\" and (\";16\" in str(image.tile) or \"'ppm'\" in str(image.tile)):".to_string(),
        format!(
            "        raise ValueError(f\"{{path}}: Pillow reads 8 of the 16 bits of a colour, the range {low} to {high} needs all\")"
        ),
    ];
    let opened = ["    image = Image.open(path)".to_string()].into_iter();
    opened
        .chain(refused.into_iter().filter(|_| !range.is_full()))
        .chain(["    image = ImageOps.exif_transpose(image)".into()])
        .chain(["    if image.mode[0] == \"I\":  # grey of 16 bits".into()])
        .chain(bytes)
        .chain(["        image = Image.fromarray(values.astype(numpy.uint8))".into()])
        .chain(["    image = image.convert(\"RGB\")".into()])
        .collect()
}

/// Rows first, then columns, in two calls: some versions of Pillow choose the order by the shape, which changes the rounding.
/// The longer side is cut later, or both sides are `side` already.
fn resized(framing: &Framing, side: u32) -> Vec<String> {
    let filter = match framing.interpolation {
        Interpolation::Bilinear => "Image.Resampling.BILINEAR",
        Interpolation::Bicubic => "Image.Resampling.BICUBIC",
    };
    let [red, green, blue] = framing.fill;
    let size = match framing.mode {
        ResizeMode::Crop => vec![
            "    shorter = min(image.size)".into(),
            format!("    size = image.width * {side} // shorter, image.height * {side} // shorter"),
        ],
        ResizeMode::Squash => vec![format!("    size = {side}, {side}")],
        ResizeMode::Letterbox => vec![
            "    longer = max(image.size)".into(),
            format!("    size = max(1, image.width * {side} // longer), max(1, image.height * {side} // longer)"),
        ],
    };
    let resize = format!("    image = image.resize((size[0], image.height), {filter}).resize(size, {filter})");
    let margins = [
        format!("    whole, image = image, Image.new(\"RGB\", ({side}, {side}), ({red}, {green}, {blue}))"),
        format!("    image.paste(whole, (({side} - size[0]) // 2, ({side} - size[1]) // 2))"),
    ];
    let has_margins = framing.mode == ResizeMode::Letterbox;
    size.into_iter().chain([resize]).chain(margins.into_iter().filter(|_| has_margins)).collect()
}

/// Python rounds halves to even, as the crop does.
fn cropped(size: u32) -> [String; 2] {
    [
        format!("    left, top = round((image.width - {size}) / 2), round((image.height - {size}) / 2)"),
        format!("    image = image.crop((left, top, left + {size}, top + {size}))"),
    ]
}

fn normalised(description: &ModelDescription) -> String {
    let column = |values: [f64; 3]| format!("numpy.float32({values:?}).reshape(3, 1, 1)");
    format!("    return (pixels - {}) / {}", column(description.mean), column(description.std))
}
