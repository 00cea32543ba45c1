//! Reads image files ahead of the network.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use image::RgbImage;

use super::PredictError;
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

/// An image, or why there is none.
pub(super) type ReadImage = Result<RgbImage, DataError>;

/// Takes the files of a batch with their images.
pub(super) type Visit<'a> = dyn FnMut(&[PathBuf], Vec<ReadImage>) -> Result<(), PredictError> + 'a;

impl Reader {
    /// Reads, decodes and transforms files on several threads, in their order.
    pub(super) fn read(&self, files: &[PathBuf]) -> Vec<Result<RgbImage, DataError>> {
        let lost = |file: &PathBuf| Err(DataError::Worker { message: file.display().to_string() });
        on_threads(files, self.workers, |file| self.read_one(file), lost)
    }

    /// Hands batches of files with their images to `visit`, in order; the next batch is read meanwhile, so that the images
    /// of two batches are in memory.
    ///
    /// # Errors
    /// Those of `visit`. A file that cannot be read is an image with an error.
    pub(super) fn visit(
        &self,
        files: &[PathBuf],
        batch_size: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), PredictError> {
        let mut batches = files.chunks(batch_size.max(1));
        let mut current = batches.next().map(|batch| (batch, self.read(batch)));
        while let Some((batch, images)) = current.take() {
            let (visited, next) = thread::scope(|scope| {
                let next = batches.next().map(|batch| (batch, scope.spawn(move || self.read(batch))));
                let visited = visit(batch, images);
                (visited, next.map(|(batch, thread)| (batch, thread.join())))
            });
            visited?;
            current = next.map(|(batch, images)| {
                let lost = |path: &PathBuf| Err(DataError::Worker { message: path.display().to_string() });
                (batch, images.unwrap_or_else(|_| batch.iter().map(lost).collect()))
            });
        }
        Ok(())
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
