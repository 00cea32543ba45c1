//! Reads image files ahead of the network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;

use crate::data::{BitDepthRange, DataError, ImageSource, on_threads};
use crate::random::{Purpose, stream};
use crate::transforms::Transform;

/// What is done to a file, and on how many threads.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) transform: Transform,
    pub(super) bit_depth: BitDepthRange,
    pub(super) workers: usize,
}

impl Reader {
    /// Reads, decodes and transforms files on several threads, in their order.
    pub(super) fn read(&self, files: &[PathBuf]) -> Vec<Result<RgbImage, DataError>> {
        let lost = |file: &PathBuf| Err(DataError::Worker { message: file.display().to_string() });
        on_threads(files, self.workers, |file| self.read_one(file), lost)
    }

    fn read_one(&self, file: &Path) -> Result<RgbImage, DataError> {
        let source = ImageSource::File(Arc::from(file));
        let image = source.load_over(self.bit_depth)?;
        // The steps of evaluation take no number from the stream.
        let drawn = self.transform.draw(image.dimensions(), &mut stream(0, Purpose::Augmentation, 0, 0));
        let drawn = drawn.map_err(|error| DataError::Transform { image: source.to_string(), source: error })?;
        Ok(Transform::apply(&drawn, image))
    }
}
