use std::borrow::Cow;
use std::fmt;
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use image::{ImageError, ImageReader, RgbImage};

use super::DataError;
use super::bit_depth::BitDepthRange;
use super::decode::{Decoded, decode_over, has_16_bits, instead_of_image, is_decoded, repeat_grey};
use super::decoder_report::in_words;
use crate::files::regular_file;

/// Where an image comes from; cheap to clone.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// An image file.
    File(Arc<Path>),
    /// The bytes of an image file, kept in memory: a slice of what was read from a table.
    Encoded {
        /// The file as it would lie on disk.
        bytes: Bytes,
        /// The table it was in.
        table: Arc<Path>,
        /// Its row there, counted from 0.
        row: u64,
    },
    /// Pixels, kept in memory.
    Raw(RawImage),
}

/// Uncompressed 8-bit pixels: a slice of what was read from a file of many.
#[derive(Debug, Clone)]
pub struct RawImage {
    bytes: Bytes,
    width: u32,
    height: u32,
    layout: RawLayout,
    table: Arc<Path>,
    row: u64,
}

/// Order of the values of a [`RawImage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawLayout {
    /// One channel.
    Grey,
    /// Red, green, blue of a pixel side by side.
    Interleaved,
    /// All of red, then all of green, then all of blue.
    Planar,
}

impl RawLayout {
    fn channels(self) -> u64 {
        match self {
            RawLayout::Grey => 1,
            RawLayout::Interleaved | RawLayout::Planar => 3,
        }
    }
}

impl RawImage {
    /// Pixels in `bytes`, image number `row` of the file `table`.
    ///
    /// # Errors
    /// [`DataError::Row`] when `bytes` is not height x width x channels long, or is empty.
    pub fn new(
        bytes: Bytes,
        (width, height): (u32, u32),
        layout: RawLayout,
        table: Arc<Path>,
        row: u64,
    ) -> Result<Self, DataError> {
        let length = u64::from(width) * u64::from(height) * layout.channels();
        if length == 0 || bytes.len() as u64 != length {
            let expected = format!("{height} x {width} pixels of {} bytes", layout.channels());
            let found = format!("{} bytes", bytes.len());
            return Err(DataError::Row { path: table.to_path_buf(), row, expected, found });
        }
        Ok(RawImage { bytes, width, height, layout, table, row })
    }

    fn to_rgb(&self) -> Option<RgbImage> {
        let pixels = match self.layout {
            RawLayout::Interleaved => self.bytes.to_vec(),
            RawLayout::Grey => repeat_grey(&self.bytes),
            RawLayout::Planar => {
                let (red, rest) = self.bytes.split_at(self.bytes.len() / 3);
                let (green, blue) = rest.split_at(red.len());
                let mut pixels = vec![[0; 3]; red.len()];
                for (((pixel, &r), &g), &b) in pixels.iter_mut().zip(red).zip(green).zip(blue) {
                    *pixel = [r, g, b];
                }
                pixels.into_flattened()
            }
        };
        RgbImage::from_raw(self.width, self.height, pixels)
    }
}

impl fmt::Display for ImageSource {
    /// The file, or the table and row, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::File(path) => write!(f, "{}", path.display()),
            ImageSource::Encoded { table, row, .. } => write!(f, "{} row {row}", table.display()),
            ImageSource::Raw(raw) => write!(f, "{} image {}", raw.table.display(), raw.row),
        }
    }
}

/// The largest image file that is read: pixels at [`super::PIXEL_LIMIT`], stored as they are.
const LARGEST_FILE: u64 = 1 << 30;

/// The bytes of a regular file of reasonable size: a device or a pipe has no end.
fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    let refused = |message: String| DataError::Decode { image: path.display().to_string(), message };
    let file = regular_file::open(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => refused(error.to_string()),
        _ => DataError::read(path)(error),
    })?;
    let metadata = file.metadata().map_err(DataError::read(path))?;
    if metadata.len() > LARGEST_FILE {
        return Err(refused(format!("it has {} bytes, the limit is {LARGEST_FILE}", metadata.len())));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(DataError::read(path))?;
    Ok(bytes)
}

impl ImageSource {
    /// Reads and decodes to 8-bit RGB; see [`decode()`](super::decode()) for what happens to other colour types.
    ///
    /// # Errors
    /// [`DataError::NotFound`], [`DataError::Read`], [`DataError::Decode`] or [`DataError::TooManyPixels`], each naming
    /// the file or row.
    pub fn load(&self) -> Result<RgbImage, DataError> {
        self.load_over(BitDepthRange::FULL)
    }

    /// [`Self::load`], with the values of 16-bit images that become black and white.
    ///
    /// # Errors
    /// Those of [`Self::load`].
    pub fn load_over(&self, range: BitDepthRange) -> Result<RgbImage, DataError> {
        Ok(self.decode(&self.bytes()?, range)?.pixels)
    }

    /// [`Self::load_over`] from its [`Self::bytes`].
    pub(super) fn decode(&self, bytes: &[u8], range: BitDepthRange) -> Result<Decoded, DataError> {
        match self {
            ImageSource::Raw(raw) => {
                let pixels = raw.to_rgb().ok_or_else(|| DataError::Decode {
                    image: self.to_string(),
                    message: "its length does not match its size".to_string(),
                });
                Ok(Decoded { pixels: pixels?, values: None, hides_turn: false })
            }
            ImageSource::File(_) | ImageSource::Encoded { .. } => decode_over(bytes, self, range),
        }
    }

    /// The least and the greatest value of an image of 16 bits that can be read.
    pub(super) fn values_of_16_bits(&self) -> Option<(u16, u16)> {
        let bytes = self.bytes().ok()?;
        let is_deep = !matches!(self, ImageSource::Raw(_)) && has_16_bits(&bytes);
        if is_deep { self.decode(&bytes, BitDepthRange::FULL).ok()?.values } else { None }
    }

    /// The bytes as stored: of the file, or of the pixels.
    ///
    /// # Errors
    /// [`DataError::NotFound`] or [`DataError::Read`] when a file cannot be read.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, DataError> {
        Ok(match self {
            ImageSource::File(path) => Cow::Owned(read_file(path)?),
            ImageSource::Encoded { bytes, .. } => Cow::Borrowed(bytes),
            ImageSource::Raw(raw) => Cow::Borrowed(&raw.bytes),
        })
    }

    /// Whether EXIF data of the file exchange its width and height.
    pub(super) fn is_turned(&self) -> bool {
        let stored = || {
            let bytes = self.bytes().ok()?;
            ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?.into_dimensions().ok()
        };
        let shown = || Some(self.load().ok()?.dimensions());
        stored().zip(shown()).is_some_and(|(stored, shown)| stored != shown)
    }
}

/// Width and height as the header says them; neither is 0.
pub(super) fn size_in_header(image: &ImageSource) -> Result<(u32, u32), DataError> {
    let undecodable = |message: String| DataError::Decode { image: image.to_string(), message };
    let size = match image {
        ImageSource::File(path) => {
            let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
            reader.map_err(DataError::read(path))?.into_dimensions()
        }
        ImageSource::Encoded { bytes, .. } => {
            let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
            reader.map_err(|error| undecodable(in_words(&error.to_string())))?.into_dimensions()
        }
        ImageSource::Raw(_) => Ok(image.load()?.dimensions()),
    };
    // The ending alone makes a reader take a file for an image.
    let message = |error: ImageError| match image.bytes() {
        Ok(bytes) if !is_decoded(&bytes) => instead_of_image(&bytes),
        _ => in_words(&error.to_string()),
    };
    match size.map_err(|error| undecodable(message(error)))? {
        (width, height) if width == 0 || height == 0 => Err(undecodable(format!("it is {width} x {height} pixels"))),
        size => Ok(size),
    }
}
