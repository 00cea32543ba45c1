use std::fmt::Display;
use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::DataError;
use super::bit_depth::{BitDepthRange, joined};
use super::decoder_report::{ENDS_EARLY, WRONG_CHECKSUM, in_words, of_headers};
use super::jpeg_scans::{Scans, unsupported_coding};
use super::tiff_strips::has_damaged_strips;
use crate::files::{Content, content_of};

/// Pixels an image may have: 134 million, 400 MB of RGB.
pub const PIXEL_LIMIT: u64 = 1 << 27;
/// Bytes a decoder may take for itself and its result: 16-bit RGBA at the limit.
const MEMORY_LIMIT: u64 = PIXEL_LIMIT * 8;

/// Decodes an image file held in memory to 8-bit RGB, turned upright by its EXIF orientation.
///
/// Equal to Pillow's `ImageOps.exif_transpose(image).convert("RGB")`: grey is repeated, palettes are looked up, CMYK is
/// converted by (255 - C)(255 - K) / 255, alpha is dropped (not blended), of 16 bits the upper eight are kept (for 16
/// bits of grey too, which Pillow clips to white instead), of an animation the first frame. JPEG differs from libjpeg
/// by rounding.
/// `image` names the file or row in errors.
///
/// # Errors
/// [`DataError::Decode`] when the format is unknown or the file broken; [`DataError::TooManyPixels`] above
/// [`PIXEL_LIMIT`], before memory for the pixels is taken.
pub fn decode(bytes: &[u8], image: &impl Display) -> Result<RgbImage, DataError> {
    Ok(decode_over(bytes, image, BitDepthRange::FULL)?.pixels)
}

/// An image, and of one of 16 bits the least and the greatest value.
pub(super) struct Decoded {
    pub(super) pixels: RgbImage,
    pub(super) values: Option<(u16, u16)>,
    /// Whether EXIF data turned it in a way that its size does not show: by half, as a mirror does, or a square.
    pub(super) hides_turn: bool,
}

/// [`decode`], with the values of 16-bit images that become black and white.
pub(super) fn decode_over(bytes: &[u8], image: &impl Display, range: BitDepthRange) -> Result<Decoded, DataError> {
    // The decoders are other people's code fed with other people's files: a panic is one more broken file.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_by_format(bytes, range)));
    let decoded = decoded.unwrap_or_else(|_| Err(Failure::Message("the decoder failed".to_string())));
    decoded.map_err(|failure| match failure {
        Failure::Message(message) => DataError::Decode { image: image.to_string(), message },
        Failure::Size(width, height) => {
            DataError::TooManyPixels { image: image.to_string(), width, height, limit: PIXEL_LIMIT }
        }
    })
}

enum Failure {
    Message(String),
    Size(u64, u64),
}

impl From<DecodeErrors> for Failure {
    fn from(error: DecodeErrors) -> Self {
        Failure::Message(in_words(&error.to_string()))
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Failure::Message(match error {
            ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => ENDS_EARLY.into(),
            ImageError::Decoding(error) => in_words(&error.to_string()),
            ImageError::Unsupported(_) => {
                "its pixels are of a kind that is not read: convert it to 8 or 16 bits for each colour".into()
            }
            ImageError::Limits(_) => "it needs more memory than an image may take".into(),
            error => in_words(&error.to_string()),
        })
    }
}

fn decode_by_format(bytes: &[u8], range: BitDepthRange) -> Result<Decoded, Failure> {
    if bytes.is_empty() {
        return Err(Failure::Message("it is empty".to_string()));
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => {
            let (pixels, orientation) = decode_jpeg(bytes)?;
            let hides_turn = hides_turn(orientation, pixels.dimensions());
            Ok(Decoded { pixels, values: None, hides_turn })
        }
        Ok(format) if format.reading_enabled() => decode_other(bytes, format, range),
        _ => Err(Failure::Message(instead_of_image(bytes))),
    }
}

/// Whether the bytes begin like an image that a decoder reads.
pub(super) fn is_decoded(bytes: &[u8]) -> bool {
    image::guess_format(bytes).is_ok_and(|format| format.reading_enabled())
}

/// What the bytes are that no decoder reads, as a sentence.
pub(super) fn instead_of_image(bytes: &[u8]) -> String {
    let unknown = || "it is not in a supported image format".to_string();
    content_of(bytes).map_or_else(unknown, Content::instead_of_image)
}

fn check_size(width: u64, height: u64) -> Result<(), Failure> {
    match width * height {
        0 => Err(Failure::Message(format!("it is {width} x {height} pixels"))),
        1..=PIXEL_LIMIT => Ok(()),
        _ => Err(Failure::Size(width, height)),
    }
}

/// JPEG straight through its decoder: `image`'s wrapper copies the file and parses its header three times.
fn decode_jpeg(bytes: &[u8]) -> Result<(RgbImage, Orientation), Failure> {
    if let Some(coding) = unsupported_coding(bytes) {
        return Err(Failure::Message(format!("it is a JPEG with {coding}, which is not supported: convert it")));
    }
    let Some(scans) = Scans::find(bytes) else { return without_scans(bytes) };
    if !scans.is_complete() {
        return Err(Failure::Message(missing_scans(&scans)));
    }
    let jpeg = Jpeg::decode(&scans.with_ones(bytes), 0)?;
    match &jpeg.failure {
        None if scans.has_damaged_restarts() => {
            Err(Failure::Message("its image data is damaged: restart markers are missing or out of order".into()))
        }
        None => match hole(&scans, bytes)? {
            Some(message) => Err(Failure::Message(message)),
            None => jpeg.into_image(),
        },
        Some(failure) => match coded_as_zeros(&scans, bytes) {
            Some(jpeg) => jpeg.into_image(),
            None => Err(Failure::Message(damage(failure, &scans, bytes, &jpeg)?)),
        },
    }
}

/// What a JPEG file holds, as far as it can be decoded.
struct Jpeg {
    width: usize,
    height: usize,
    channels: usize,
    samples: Vec<u8>,
    orientation: Orientation,
    failure: Option<Failure>,
}

impl Jpeg {
    /// Decodes over samples that are all `before`; fails if the headers do.
    fn decode(bytes: &[u8], before: u8) -> Result<Self, Failure> {
        let options = DecoderOptions::default().set_strict_mode(false).set_max_width(1 << 16).set_max_height(1 << 16);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers()?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        check_size(width as u64, height as u64)?;
        let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        let target = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
        // Lenient about headers, as libjpeg is, but not about pixels: a file cut short would come out half grey.
        decoder.set_options(options.jpeg_set_out_colorspace(target).set_strict_mode(true));
        let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        let channels = target.num_components();
        let mut samples = vec![before; width * height * channels];
        let failure = decoder.decode_into(&mut samples).err().map(Failure::from);
        Ok(Jpeg { width, height, channels, samples, orientation, failure })
    }

    fn into_image(self) -> Result<(RgbImage, Orientation), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let pixels = if self.channels == 1 { repeat_grey(&self.samples) } else { self.samples };
        Ok((upright(rgb(self.width as u32, self.height as u32, pixels)?, self.orientation), self.orientation))
    }
}

/// The image of a file whose zeros at its end are needed to the last: those of a flat part of it, not those of a download.
fn coded_as_zeros(scans: &Scans, bytes: &[u8]) -> Option<Jpeg> {
    let fewer = scans.zeros().checked_sub(1)?;
    let decoded = |zeros| Jpeg::decode(&scans.with_zeros(zeros).with_ones(bytes), 0).ok();
    let whole = |zeros| decoded(zeros).filter(|jpeg| jpeg.failure.is_none());
    let image = whole(scans.zeros())?;
    whole(fewer).is_none().then_some(image)
}

/// A file whose markers lead to no scan: it ends before one, or only the decoder makes something of it.
fn without_scans(bytes: &[u8]) -> Result<(RgbImage, Orientation), Failure> {
    Jpeg::decode(bytes, 0).and_then(Jpeg::into_image).map_err(|failure| match failure {
        Failure::Message(message) => Failure::Message(of_headers(&message)),
        size @ Failure::Size(..) => size,
    })
}

fn missing_scans(scans: &Scans) -> String {
    let count = scans.count();
    let kind = if scans.are_progressive() { "it is progressive and" } else { "it" };
    let scans = if count == 1 { "scan" } else { "scans" };
    format!("{kind} ends after {count} {scans}: others are missing")
}

/// Where the image data of a JPEG file ends or is damaged, of which the decoder reports `failure`.
fn damage(failure: &Failure, scans: &Scans, bytes: &[u8], jpeg: &Jpeg) -> Result<String, Failure> {
    // A decoder that fills up what is missing finds nothing wrong with data that only ends.
    let ends = Jpeg::decode(&scans.ended(bytes), 0)?.failure.is_none();
    let what = if ends { "image data ends" } else { "image data is damaged" };
    if scans.count() > 1 {
        return Ok(format!("its {what} within one of {} scans", scans.count()));
    }
    let (decoded, height) = (rows_decoded(jpeg, &scans.with_ones(bytes))?, jpeg.height);
    match failure {
        Failure::Message(message) if decoded == 0 && !ends => Ok(message.clone()),
        _ if scans.zeros() > 0 => {
            Ok(format!("its {what} after row {decoded} of {height}: from there on the file is filled with zeros"))
        }
        _ => Ok(format!("its {what} after row {decoded} of {height}")),
    }
}

/// How many rows of `data` were decoded before the decoder failed.
fn rows_decoded(jpeg: &Jpeg, data: &[u8]) -> Result<usize, Failure> {
    // Rows that the decoder has not reached keep the value that they had before.
    let other = Jpeg::decode(data, u8::MAX)?;
    let row = jpeg.width * jpeg.channels;
    let same = |(ours, theirs): &(&[u8], &[u8])| ours == theirs;
    let decoded = jpeg.samples.chunks(row).zip(other.samples.chunks(row)).take_while(same).count();
    // Of subsampled rows the last ones wait for those below.
    Ok(decoded.next_multiple_of(8).min(jpeg.height))
}

/// Where zeros lie in the image data of a file that decodes, if they are in the place of data and not behind it.
fn hole(scans: &Scans, bytes: &[u8]) -> Result<Option<String>, Failure> {
    let Some(before) = scans.before_hole() else { return Ok(None) };
    let data = before.with_ones(bytes);
    let jpeg = Jpeg::decode(&data, 0)?;
    if jpeg.failure.is_none() {
        return Ok(None);
    }
    if scans.count() > 1 {
        return Ok(Some(format!("its image data is filled with zeros within one of {} scans", scans.count())));
    }
    let (decoded, height) = (rows_decoded(&jpeg, &data)?, jpeg.height);
    Ok(Some(format!("its image data is filled with zeros after row {decoded} of {height}")))
}

/// Whether an image file has 16 bits for each value, by its header.
pub(super) fn has_16_bits(bytes: &[u8]) -> bool {
    use ColorType::{L16, La16, Rgb16, Rgba16};
    use ImageFormat::{Png, Pnm, Tiff};
    let Ok(format @ (Png | Pnm | Tiff)) = image::guess_format(bytes) else { return false };
    // As in `decode_over`.
    let color = catch_unwind(|| Some(reader(bytes, format).into_decoder().ok()?.color_type()));
    matches!(color, Ok(Some(L16 | La16 | Rgb16 | Rgba16)))
}

fn reader(bytes: &[u8], format: ImageFormat) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY_LIMIT);
    reader.limits(limits);
    reader
}

fn decode_other(bytes: &[u8], format: ImageFormat, range: BitDepthRange) -> Result<Decoded, Failure> {
    let mut decoder = reader(bytes, format).into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_size(u64::from(width), u64::from(height))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    if let Err(error) = decoder.read_image(&mut samples) {
        // All rows are there, and only the end of the file is not.
        let mended = png_with_end(bytes).filter(|_| format == ImageFormat::Png).ok_or(Failure::from(error))?;
        reader(&mended, format).into_decoder()?.read_image(&mut samples)?;
    }
    if format == ImageFormat::Tiff && has_damaged_strips(bytes) {
        return Err(Failure::Message(WRONG_CHECKSUM.into()));
    }
    let (samples, color, values) = match color {
        ColorType::L16 => (bytes_of(&samples, range), ColorType::L8, extremes::<1>(&samples, 1)),
        ColorType::La16 => (bytes_of(&samples, range), ColorType::La8, extremes::<2>(&samples, 1)),
        ColorType::Rgb16 => (bytes_of(&samples, range), ColorType::Rgb8, extremes::<3>(&samples, 3)),
        ColorType::Rgba16 => (bytes_of(&samples, range), ColorType::Rgba8, extremes::<4>(&samples, 3)),
        color => (samples, color, None),
    };
    let pixels = upright(rgb(width, height, rgb_samples(samples, color)?)?, orientation);
    let hides_turn = hides_turn(orientation, pixels.dimensions());
    Ok(Decoded { pixels, values, hides_turn })
}

/// A PNG file that ends without its last chunk, with that chunk.
fn png_with_end(bytes: &[u8]) -> Option<Vec<u8>> {
    const SIGNATURE: usize = 8;
    const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
    let mut end = SIGNATURE;
    while let Some(&[a, b, c, d, ref kind @ ..]) = bytes.get(end..end + 8) {
        let next = end + 12 + u32::from_be_bytes([a, b, c, d]) as usize;
        if kind == b"IEND" || next > bytes.len() {
            break;
        }
        end = next;
    }
    let rest = bytes.get(end..)?;
    (END.starts_with(rest)).then(|| [&bytes[..end], END].concat())
}

/// 8-bit samples of `color` as RGB.
fn rgb_samples(samples: Vec<u8>, color: ColorType) -> Result<Vec<u8>, Failure> {
    Ok(match color {
        ColorType::Rgb8 => samples,
        ColorType::L8 => repeat_grey(&samples),
        ColorType::La8 => samples.as_chunks().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect(),
        ColorType::Rgba8 => samples.as_chunks().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
        other => return Err(Failure::Message(format!("its pixels are of type {other:?}, which is not supported"))),
    })
}

/// Samples of 16 bits as bytes.
fn bytes_of(samples: &[u8], range: BitDepthRange) -> Vec<u8> {
    samples.as_chunks().0.iter().map(|&pair| range.to_byte(u16::from_ne_bytes(pair))).collect()
}

/// The least and the greatest of the first `channels` of every `N` samples of 16 bits: alpha is not among them.
fn extremes<const N: usize>(samples: &[u8], channels: usize) -> Option<(u16, u16)> {
    let values = samples.as_chunks::<2>().0.as_chunks::<N>().0.iter().flat_map(|pixel| &pixel[..channels]);
    values.map(|&pair| u16::from_ne_bytes(pair)).fold(None, |known, value| joined(known, Some((value, value))))
}

pub(super) fn repeat_grey(grey: &[u8]) -> Vec<u8> {
    let mut pixels = vec![[0; 3]; grey.len()];
    for (pixel, &value) in pixels.iter_mut().zip(grey) {
        *pixel = [value; 3];
    }
    pixels.into_flattened()
}

fn rgb(width: u32, height: u32, pixels: Vec<u8>) -> Result<RgbImage, Failure> {
    let short = || Failure::Message("it ends before its last pixel".to_string());
    RgbImage::from_raw(width, height, pixels).ok_or_else(short)
}

fn hides_turn(orientation: Orientation, (width, height): (u32, u32)) -> bool {
    use Orientation::{FlipHorizontal, FlipVertical, NoTransforms, Rotate180};
    match orientation {
        NoTransforms => false,
        FlipHorizontal | FlipVertical | Rotate180 => true,
        _ => width == height,
    }
}

fn upright(image: RgbImage, orientation: Orientation) -> RgbImage {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    image.into_rgb8()
}
