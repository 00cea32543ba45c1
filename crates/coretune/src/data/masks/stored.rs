//! A mask as its file has it. Palettes and small depths are not translated to colours, as image decoders do: the numbers
//! count.

use std::fmt::Display;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::bmp::BmpDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use png::{BitDepth, ColorType, Decoder, Transformations};
use tiff::decoder::{Decoder as TiffDecoder, DecodingResult};
use tiff::tags::Tag;
use tiff::{ColorType as TiffColor, TiffError};

use crate::data::decoder_report::in_words;
use crate::data::{DataError, PIXEL_LIMIT};

/// A decoded mask whose values have no meaning yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredMask {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) values: StoredValues,
    /// The colours of indices; empty without a palette.
    pub(super) palette: Vec<[u8; 3]>,
    /// Whether EXIF data would turn it. They do not: label tools write masks as they are shown.
    pub(super) is_turned: bool,
}

/// The values, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoredValues {
    /// The indices of a palette.
    Indices(Vec<u8>),
    /// Greys of at most 8 bits; of one bit: 0 and 1.
    Greys(Vec<u8>),
    /// Greys of 16 bits.
    DeepGreys(Vec<u16>),
    /// Red, green, blue.
    Colors(Vec<[u8; 3]>),
}

/// Bytes that a decoder may take.
const MEMORY_LIMIT: u64 = PIXEL_LIMIT * 8;

/// Decodes a mask file held in memory; `mask` names it in errors.
pub(super) fn decode_mask(bytes: &[u8], mask: &impl Display) -> Result<StoredMask, DataError> {
    if let Ok(ImageFormat::Jpeg | ImageFormat::WebP) = image::guess_format(bytes) {
        return Err(DataError::MaskLossy { mask: mask.to_string(), others: 0 });
    }
    // As for images: a panic of a decoder is one more broken file.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_by_format(bytes)));
    let decoded = decoded.unwrap_or_else(|_| Err("the decoder failed".to_string()));
    decoded.map_err(|message| DataError::MaskUnreadable { mask: mask.to_string(), message })
}

fn decode_by_format(bytes: &[u8]) -> Result<StoredMask, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => decode_png(bytes),
        Ok(ImageFormat::Bmp) => decode_bmp(bytes),
        Ok(ImageFormat::Tiff) => decode_tiff(bytes),
        // What writes GIF numbers the colours of each file anew: they count, not the indices.
        Ok(format @ (ImageFormat::Gif | ImageFormat::Pnm)) => decode_other(bytes, format),
        Ok(_) | Err(_) => Err("it is not in a format of masks".into()),
    }
}

pub(super) fn check_size(width: u32, height: u32) -> Result<(), String> {
    match u64::from(width) * u64::from(height) {
        1..=PIXEL_LIMIT => Ok(()),
        0 => Err(format!("it is {width} x {height} pixels")),
        _ => Err(format!("it has {width} x {height} pixels, the limit is {PIXEL_LIMIT} pixels")),
    }
}

fn decode_png(bytes: &[u8]) -> Result<StoredMask, String> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MEMORY_LIMIT as usize });
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|error| in_words(&error.to_string()))?;
    let (width, height) = reader.info().size();
    check_size(width, height)?;
    let palette = reader.info().palette.as_deref().unwrap_or_default().as_chunks::<3>().0.to_vec();
    let mut bytes = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
    let frame = reader.next_frame(&mut bytes).map_err(|error| in_words(&error.to_string()))?;
    bytes.truncate(frame.buffer_size());
    let values = match (frame.color_type, frame.bit_depth) {
        (ColorType::Indexed, depth) => StoredValues::Indices(unpacked(&bytes, depth, &frame)),
        (ColorType::Grayscale, BitDepth::Sixteen) => StoredValues::DeepGreys(pairs(&bytes).collect()),
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => StoredValues::DeepGreys(pairs(&bytes).step_by(2).collect()),
        (ColorType::Grayscale, depth) => {
            // Greys of 2 and 4 bits span black to white, as every reader has it; one bit is a number.
            let factor = if depth == BitDepth::One { 1 } else { 255 / ((1_u16 << depth as u16) - 1) } as u8;
            StoredValues::Greys(unpacked(&bytes, depth, &frame).into_iter().map(|value| value * factor).collect())
        }
        (ColorType::GrayscaleAlpha, _) => StoredValues::Greys(bytes.iter().step_by(2).copied().collect()),
        (ColorType::Rgb, BitDepth::Eight) => StoredValues::Colors(bytes.as_chunks::<3>().0.to_vec()),
        (ColorType::Rgba, BitDepth::Eight) => {
            StoredValues::Colors(bytes.as_chunks::<4>().0.iter().map(|&[r, g, b, _]| [r, g, b]).collect())
        }
        (ColorType::Rgb | ColorType::Rgba, _) => return Err("it has colours of 16 bits".into()),
    };
    let orientation = reader.info().exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    let is_turned = orientation.is_some_and(|orientation| orientation != Orientation::NoTransforms);
    Ok(StoredMask { width, height, values, palette, is_turned })
}

/// Values of at most 8 bits, a byte each; rows begin at whole bytes.
fn unpacked(bytes: &[u8], depth: BitDepth, frame: &png::OutputInfo) -> Vec<u8> {
    let bits = depth as usize;
    if bits >= 8 {
        return bytes.to_vec();
    }
    let (per_byte, mask) = (8 / bits, (1_u8 << bits) - 1);
    let value = |row: &[u8], x: usize| row[x / per_byte] >> (8 - bits - (x % per_byte) * bits) & mask;
    let rows = bytes.chunks_exact(frame.line_size);
    rows.flat_map(|row| (0..frame.width as usize).map(move |x| value(row, x))).collect()
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair))
}

/// The indices of a palette that has colours; without one, or with a palette of greys, the greys.
fn decode_bmp(bytes: &[u8]) -> Result<StoredMask, String> {
    let report = |error: ImageError| in_words(&error.to_string());
    let mut decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(report)?;
    let palette = decoder.get_palette().map(<[_]>::to_vec).unwrap_or_default();
    if palette.iter().all(|[r, g, b]| r == g && g == b) {
        return decode_other(bytes, ImageFormat::Bmp);
    }
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    decoder.set_indexed_color(true);
    let mut values = vec![0; width as usize * height as usize];
    if decoder.total_bytes() != values.len() as u64 {
        return decode_other(bytes, ImageFormat::Bmp);
    }
    decoder.read_image(&mut values).map_err(report)?;
    Ok(StoredMask { width, height, values: StoredValues::Indices(values), palette, is_turned: false })
}

/// Whole numbers of 32 and 64 bits too, also as floating point.
fn decode_tiff(bytes: &[u8]) -> Result<StoredMask, String> {
    let report = |error: TiffError| in_words(&error.to_string());
    let mut decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(report)?;
    // 3: a palette, which the decoder does not read.
    if decoder.get_tag_u32(Tag::PhotometricInterpretation).is_ok_and(|kind| kind == 3) {
        return Err("it is a TIFF with a palette, which is not read".into());
    }
    let (width, height) = decoder.dimensions().map_err(report)?;
    check_size(width, height)?;
    let is_wide = matches!(decoder.colortype(), Ok(TiffColor::Gray(32 | 64)));
    // 1: numbers without a sign, as is usual.
    let is_signed = decoder.get_tag_u32(Tag::SampleFormat).is_ok_and(|format| format != 1);
    let is_grey = matches!(decoder.colortype(), Ok(TiffColor::Gray(_)));
    if !(is_wide || is_grey && is_signed) {
        return decode_other(bytes, ImageFormat::Tiff);
    }
    let numbers = match decoder.read_image().map_err(report)? {
        DecodingResult::I8(values) => numbers(values),
        DecodingResult::I16(values) => numbers(values),
        DecodingResult::I32(values) => numbers(values),
        DecodingResult::I64(values) => numbers(values.into_iter().map(|value| value as f64)),
        DecodingResult::U32(values) => numbers(values),
        DecodingResult::U64(values) => numbers(values.into_iter().map(|value| value as f64)),
        DecodingResult::F32(values) => numbers(values),
        DecodingResult::F64(values) => numbers(values),
        _ => return decode_other(bytes, ImageFormat::Tiff),
    }?;
    let narrow = numbers.iter().map(|&number| u8::try_from(number).ok()).collect::<Option<Vec<_>>>();
    let values = narrow.map_or(StoredValues::DeepGreys(numbers), StoredValues::Greys);
    Ok(StoredMask { width, height, values, palette: Vec::new(), is_turned: false })
}

/// Whole numbers from 0 to 65535.
fn numbers<T: Into<f64>>(values: impl IntoIterator<Item = T>) -> Result<Vec<u16>, String> {
    let number = |value: T| {
        let value: f64 = value.into();
        let is_whole = value.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&value);
        is_whole
            .then_some(value as u16)
            .ok_or_else(|| format!("it has the value {value}, expected whole numbers from 0 to 65535"))
    };
    values.into_iter().map(number).collect()
}

fn decode_other(bytes: &[u8], format: ImageFormat) -> Result<StoredMask, String> {
    let size = ImageReader::with_format(Cursor::new(bytes), format).into_dimensions();
    let (width, height) = size.map_err(|error| in_words(&error.to_string()))?;
    check_size(width, height)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY_LIMIT);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| in_words(&error.to_string()))?;
    let values = match image {
        DynamicImage::ImageLuma8(grey) => StoredValues::Greys(grey.into_raw()),
        DynamicImage::ImageLuma16(grey) => StoredValues::DeepGreys(grey.into_raw()),
        DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => {
            StoredValues::Colors(image.into_rgb8().as_chunks::<3>().0.to_vec())
        }
        other => return Err(format!("its pixels are of type {:?}, which masks do not have", other.color())),
    };
    Ok(StoredMask { width, height, values, palette: Vec::new(), is_turned: false })
}

impl StoredMask {
    /// The same mask with greys where red, green and blue are equal in every pixel.
    pub(super) fn without_equal_channels(self) -> Self {
        match &self.values {
            StoredValues::Colors(colors) if colors.iter().all(|[r, g, b]| r == g && g == b) => {
                StoredMask { values: StoredValues::Greys(colors.iter().map(|color| color[0]).collect()), ..self }
            }
            _ => self,
        }
    }

    /// Whether its values are colours.
    pub(super) fn has_colors(&self) -> bool {
        matches!(self.values, StoredValues::Colors(_))
    }

    /// The largest number outside of `ignored`, none of colours or if all is ignored.
    pub(super) fn largest(&self, ignored: &[u16]) -> Option<u16> {
        let counts = |value: &u16| !ignored.contains(value);
        match &self.values {
            StoredValues::Indices(values) | StoredValues::Greys(values) => {
                used(values).into_iter().rev().map(u16::from).find(counts)
            }
            StoredValues::DeepGreys(values) => values.iter().copied().filter(counts).max(),
            StoredValues::Colors(_) => None,
        }
    }

    /// Whether it holds a number; of colours it is not known.
    pub(super) fn has_number(&self, number: u16) -> bool {
        match &self.values {
            StoredValues::Indices(values) | StoredValues::Greys(values) => {
                u8::try_from(number).is_ok_and(|number| values.contains(&number))
            }
            StoredValues::DeepGreys(values) => values.contains(&number),
            StoredValues::Colors(_) => true,
        }
    }
}

/// The values that occur, in ascending order.
pub(super) fn used(values: &[u8]) -> Vec<u8> {
    let mut seen = [false; 256];
    for &value in values {
        seen[usize::from(value)] = true;
    }
    (0..=255).filter(|&value| seen[usize::from(value)]).collect()
}
